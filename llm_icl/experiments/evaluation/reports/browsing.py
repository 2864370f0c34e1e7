"""Every answer of every learner for the page, as columns of numbers, with the problems and the prompts behind them."""

import json
from collections.abc import Mapping, Sequence
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
    points = [_points(cell, drawn) for cell in cells]
    texts, note = sampled(_texts(cells, content.called, runs))
    columns = {
        "answers": b"".join(_codes(answered) for cell in cells for answered in cell.learners.values()),
        "probabilities": b"".join(
            thousandths(answered.probability) for cell in cells for answered in cell.learners.values()
        ),
        "truths": b"".join(_truths(cell) for cell in cells),
        "bits": bits_of([bits for bits, _, _ in points]),
        "shown": bits_of([shown for _, shown, _ in points]),
        "functions": json.dumps([functions for _, _, functions in points]).encode(),
    }
    columns |= {f"texts-{i}": json.dumps(rows).encode() for i, rows in enumerate(texts) if rows}
    index = {
        "cells": [_about(cell, bits, rows) for cell, (bits, _, _), rows in zip(cells, points, texts, strict=True)],
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


def _about(cell: Cell, bits: _Bits, texts: Sequence[Any]) -> dict[str, Any]:
    return {
        "task": cell.task, "n": cell.n, "title": cell.title, "learners": list(cell.learners),
        "positions": cell.positions.tolist(), "ids": cell.ids.tolist(), "points": int(bits.shape[1]),
        "texts": bool(texts),
    }  # fmt: skip


def _codes(answered: Answered) -> bytes:
    assert answered.codes is not None
    return codes(answered.prediction, answered.codes)


def _truths(cell: Cell) -> bytes:
    return (np.nan_to_num(cell.label) + 2 * cell.seen).astype(np.uint8).tobytes()


def _drawn(runs: Sequence[RunDirectory]) -> dict[tuple[str, int, int], Problems]:
    """The problems of all runs by task, n and seed; of several files the one with most points and problems."""
    found: dict[tuple[str, int, int], Problems] = {}
    for path in sorted(path for run in runs for path in (run.path / "problems").glob("*.npz")):
        problems = Problems.load(path)
        key = problems.task.name, problems.n, problems.seed
        if key not in found or problems.xs.size > found[key].xs.size:
            found[key] = problems
    return found


def _points(cell: Cell, drawn: Mapping[tuple[str, int, int], Problems]) -> tuple[_Bits, _Bits, list[str]]:
    """The points (N, m, n), the labels shown (N, m) and the functions of a cell; m = 0 where a problem is not kept."""
    seeds = [int(seed) for seed in np.unique(cell.ids[:, 0])]
    kept = {seed: drawn.get((cell.task, cell.n, seed)) for seed in seeds}
    points = min((problems.points if problems else 0 for problems in kept.values()), default=0)
    places = {seed: {int(i): row for row, i in enumerate(p.indices)} for seed, p in kept.items() if p}
    if any(int(i) not in places.get(int(seed), {}) for seed, i in cell.ids):
        points = 0
    if not points:
        nothing = np.zeros((cell.problems, 0, cell.n), np.uint8)
        return nothing, nothing[:, :, 0] if cell.n else nothing.reshape(cell.problems, 0), [""] * cell.problems
    xs, shown, functions = [], [], []
    for seed, i in cell.ids:
        problems, row = kept[int(seed)], places[int(seed)][int(i)]
        assert problems is not None
        xs.append(problems.xs[row, :points])
        shown.append(problems.shown[row, :points])
        functions.append(_function(problems, row))
    return np.array(xs, np.uint8), np.array(shown, np.uint8), functions


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
