"""Every answer of every learner for the page, as columns of numbers, with the problems and the prompts behind them."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.cells import Answered, Cell
from llm_icl.experiments.evaluation.reports.content import Content
from llm_icl.problems import SHUFFLED, STATUSES, Problems
from llm_icl.reports.document import Panel
from llm_icl.runs import RunDirectory

# Prompts and replies of more characters than this are sampled.
MOST_TEXT = 20_000_000
# Parameters of a function beyond this length are cut.
_LONGEST = 200
_NO_PROBABILITY = 65535
_Bits = NDArray[np.uint8]


def problems_panel(content: Content, runs: Sequence[RunDirectory]) -> Panel:
    """The columns, cell by cell, each learner by learner, problem by problem and position by position.

    answers: 0 not asked, 1 and 2 the answers 0 and 1, then the statuses of what is no answer; probabilities:
    thousandths of P(y = 1), 16 bits; truths of the queries: the label, plus 2 where it was seen; bits and shown labels
    of all points; functions: their parameters as text; texts of a cell: learner, problem, positions, prompt and reply.
    """
    drawn = _drawn(runs)
    cells = [each.cell for each in content.cells]
    points = [_points(cell, drawn) for cell in cells]
    texts, note = _texts(cells, runs)
    columns = {
        "answers": b"".join(_codes(answered) for cell in cells for answered in cell.learners.values()),
        "probabilities": b"".join(_thousandths(answered) for cell in cells for answered in cell.learners.values()),
        "truths": b"".join(_truths(cell) for cell in cells),
        "bits": _bytes_of([bits for bits, _, _ in points]),
        "shown": _bytes_of([shown for _, shown, _ in points]),
        "functions": json.dumps([functions for _, _, functions in points]).encode(),
    }
    columns |= {f"texts-{i}": json.dumps(rows).encode() for i, rows in enumerate(texts) if rows}
    index = {
        "cells": [_about(cell, bits, rows) for cell, (bits, _, _), rows in zip(cells, points, texts, strict=True)],
        "statuses": list(STATUSES[1:]),
        "shuffled": SHUFFLED,
        "first": content.subjects[0] if content.subjects else "",
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
    usable = ~np.isnan(answered.prediction)
    without = np.where(answered.codes < 0, 0, np.maximum(answered.codes, 1) + 2)
    return np.where(usable, np.nan_to_num(answered.prediction) + 1, without).astype(np.uint8).tobytes()


def _thousandths(answered: Answered) -> bytes:
    known = ~np.isnan(answered.probability)
    rounded = np.where(known, np.round(1000 * np.nan_to_num(answered.probability)), _NO_PROBABILITY)
    return rounded.astype("<u2").tobytes()


def _truths(cell: Cell) -> bytes:
    return (np.nan_to_num(cell.label) + 2 * cell.seen).astype(np.uint8).tobytes()


def _bytes_of(parts: Sequence[_Bits]) -> bytes:
    """Bits of all cells in a row."""
    return np.packbits(np.concatenate([part.ravel() for part in parts])).tobytes()


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


def _texts(cells: Sequence[Cell], runs: Sequence[RunDirectory]) -> tuple[list[list[Any]], str]:
    """Of each cell its exchanges; of more than MOST_TEXT characters those of every k-th problem, which a note says."""
    places = {(cell.task, cell.n): i for i, cell in enumerate(cells)}
    rows_of = [{(int(s), int(i)): row for row, (s, i) in enumerate(cell.ids)} for cell in cells]
    texts: list[list[Any]] = [[] for _ in cells]
    for one in (exchange for run in runs for exchange in run.exchanges()):
        place = places.get((one["task"], one["n"]))
        row = None if place is None else rows_of[place].get((one["seed"], one["problem"]))
        if place is None or row is None:
            continue
        for learner in _named(cells[place], one):
            reply = one["reply"].get("text") or one["reply"].get("message") or ""
            texts[place].append([learner, row, one["positions"], one["text"], reply])
    whole = sum(_size(row) for rows in texts for row in rows)
    if whole <= MOST_TEXT:
        return texts, ""
    every = -(-whole // MOST_TEXT)
    sampled = [[row for row in rows if row[1] % every == 0] for rows in texts]
    note = f" Prompts and replies are those of one problem in {every}; exchanges.jsonl of the run has all."
    return sampled, note


def _named(cell: Cell, exchange: Mapping[str, Any]) -> Iterator[int]:
    """The place of the learner that was asked, which may have its prompt in its name."""
    names = (exchange["learner"], f"{exchange['learner']} [{exchange['prompt']}]")
    yield from (i for i, name in enumerate(cell.learners) if name in names)


def _size(row: Sequence[Any]) -> int:
    return len(row[3]) + len(row[4])
