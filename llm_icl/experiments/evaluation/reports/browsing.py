"""Every answer of every learner for the page, as columns of numbers, with the problems and the prompts behind them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import Answered, Cell
from llm_icl.analysis.names import Names
from llm_icl.experiments.evaluation.reports.content import Content
from llm_icl.problems import SHUFFLED, STATUSES, Problems
from llm_icl.reports.browsing import Text, bits_of, codes, sampled, thousandths
from llm_icl.reports.document import Panel
from llm_icl.runs import RunDirectory
from llm_icl.runs.listing import short_names

# Parameters of a function beyond this length are cut.
_LONGEST = 200
_Bits = NDArray[np.uint8]


def problems_panel(content: Content, runs: Sequence[RunDirectory]) -> Panel:
    """The columns of `reports.browsing`; functions: their parameters as text."""
    drawn = _drawn(runs)
    cells = [each.cell for each in content.cells]
    points = [_Points.of(cell, drawn) for cell in cells]
    texts, note = sampled(_texts(cells, content.called, runs))
    columns = {
        "answers": b"".join(_codes(answered) for cell in cells for answered in cell.learners.values()),
        "probabilities": b"".join(
            thousandths(answered.probability) for cell in cells for answered in cell.learners.values()
        ),
        "truths": b"".join(_truths(cell) for cell in cells),
        "bits": bits_of([each.xs for each in points]),
        "shown": bits_of([each.shown for each in points]),
        "functions": json.dumps([each.functions for each in points]).encode(),
    }
    columns |= {f"texts-{i}": json.dumps(rows).encode() for i, rows in enumerate(texts) if rows}
    index = {
        "cells": [_about(cell, each, rows) for cell, each, rows in zip(cells, points, texts, strict=True)],
        "statuses": list(STATUSES[1:]),
        "shuffled": SHUFFLED,
        "first": content.subjects[0] if content.subjects else "",
        "scored": True,
    }
    says = (
        "Every answer, with the problem, the prompt and reply, and what all learners answered. P(1) has three digits; "
        "all of them are in predictions.parquet of the run."
    )
    return Panel("problems", f"{says}{note}", index, columns)


def _about(cell: Cell, points: "_Points", texts: Sequence[Any]) -> dict[str, Any]:
    return {
        "task": cell.task, "n": cell.n, "title": cell.title, "learners": list(cell.learners),
        "positions": cell.positions.tolist(), "ids": cell.ids.tolist(), "points": int(points.xs.shape[1]),
        "sizes": points.sizes, "texts": bool(texts),
    }  # fmt: skip


def _codes(answered: Answered) -> bytes:
    assert answered.codes is not None
    return codes(answered.prediction, answered.codes)


def _truths(cell: Cell) -> bytes:
    return (np.nan_to_num(cell.label) + 2 * cell.seen).astype(np.uint8).tobytes()


_Drawn = Mapping[tuple[str, int, int], Sequence[Problems]]


def _drawn(runs: Sequence[RunDirectory]) -> _Drawn:
    """The problems of all runs by task, n and seed, those with most points first."""
    found: dict[tuple[str, int, int], list[Problems]] = {}
    for path in sorted(path for run in runs for path in (run.path / "problems").glob("*.npz")):
        problems = Problems.load(path)
        found.setdefault((problems.task.name, problems.n, problems.seed), []).append(problems)
    return {key: sorted(some, key=lambda problems: -problems.points) for key, some in found.items()}


@dataclass(frozen=True)
class _Points:
    """The points xs (N, m, n) of a cell's problems, the labels shown (N, m), of which each problem has its first
    `sizes`, and the functions; 0 points of a problem that is not kept.
    """

    xs: _Bits
    shown: _Bits
    sizes: list[int]
    functions: list[str]

    @classmethod
    def of(cls, cell: Cell, drawn: _Drawn) -> "_Points":
        """Of runs with different numbers of points, the longest that has the problem."""
        places: dict[tuple[int, int], tuple[Problems, int]] = {}
        for seed in np.unique(cell.ids[:, 0]).tolist():
            for problems in drawn.get((cell.task, cell.n, seed), ()):
                for row, index in enumerate(problems.indices.tolist()):
                    places.setdefault((seed, index), (problems, row))
        kept = [places.get((seed, index)) for seed, index in cell.ids.tolist()]
        sizes = [each[0].points if each else 0 for each in kept]
        most = max(sizes, default=0)
        xs, shown = np.zeros((len(kept), most, cell.n), np.uint8), np.zeros((len(kept), most), np.uint8)
        for i, each in enumerate(kept):
            if each:
                problems, row = each
                xs[i, : sizes[i]], shown[i, : sizes[i]] = problems.xs[row], problems.shown[row]
        return cls(xs, shown, sizes, [_function(*each) if each else "" for each in kept])


def _function(problems: Problems, row: int) -> str:
    said = ", ".join(f"{name} = {value[row].tolist()}" for name, value in problems.parameters.items())
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]} …"


def _texts(cells: Sequence[Cell], called: Names, runs: Sequence[RunDirectory]) -> list[list[Text]]:
    """Of each cell its exchanges."""
    places = {(cell.task, cell.n): i for i, cell in enumerate(cells)}
    rows_of = [{(int(s), int(i)): row for row, (s, i) in enumerate(cell.ids)} for cell in cells]
    names_of = [list(cell.learners) for cell in cells]
    texts: list[list[Text]] = [[] for _ in cells]
    for run, directory in zip(short_names(runs), runs, strict=True):
        for one in directory.exchanges():
            place = places.get((one["task"], one["n"]))
            row = None if place is None else rows_of[place].get((one["seed"], one["problem"]))
            name = called.of(one["learner"], one["prompt"], run)
            if place is None or row is None or name not in names_of[place]:
                continue
            reply = one["reply"].get("text") or one["reply"].get("message") or ""
            texts[place].append([names_of[place].index(name), row, one["positions"], one["text"], reply])
    return texts
