"""Every answer to a probe for the page, beside what each candidate answers."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.config.files import file_name
from llm_icl.experiments.identification.findings import Cell
from llm_icl.experiments.identification.gathering import Gathered
from llm_icl.problems import SHUFFLED, STATUSES
from llm_icl.reports.browsing import UNSCORED, Text, bits_of, codes, sampled, thousandths
from llm_icl.reports.document import Panel
from llm_icl.runs import RunDirectory

# Where the probes of a run are.
PROBES = "probes"
# A candidate whose P(y = 1) is one half.
_UNDECIDED = "undecided"


def ground_name(task: str, n: int, seed: int, source: str) -> str:
    """The name of the probes of one setting, and of the file of answers that they come from, if any."""
    name = f"{task}-n{n}-s{seed}"
    return file_name(f"{source}-{name}" if source else name)


def problems_panel(found: Sequence[Gathered]) -> Panel | None:
    """A cell of the panel for each number of examples, a problem of it for each query. None without the files of
    probes.
    """
    shown = [each for of_run in found for cell in of_run.cells for each in _shown(of_run.run, cell, of_run.called)]
    if not shown:
        return None
    texts, note = sampled([each.pop("texts") for each in shown])
    columns = {name: b"".join(each.pop(name) for each in shown) for name in ("answers", "probabilities", "truths")}
    columns |= {name: bits_of([each.pop(name) for each in shown]) for name in ("bits", "shown")}
    columns["functions"] = json.dumps([[""] * len(each["ids"]) for each in shown]).encode()
    columns |= {f"texts-{i}": json.dumps(rows).encode() for i, rows in enumerate(texts) if rows}
    index = {
        "cells": [each | {"texts": bool(rows)} for each, rows in zip(shown, texts, strict=True)],
        "statuses": [*STATUSES[1:], _UNDECIDED],
        "shuffled": SHUFFLED,
        "first": shown[0]["learners"][0],
        "scored": False,
    }
    says = (
        "Every answer to a searched query, with its examples, the prompt and reply, and what each candidate answers "
        "(of a family of candidates, its middle variant)."
    )
    return Panel("problems", f"{says}{note}", index, columns)


def _shown(run: RunDirectory, cell: Cell, called: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """What the panel has of a cell, by number of examples."""
    path = run.path / PROBES / f"{ground_name(cell.task, cell.n, cell.seed, cell.source)}.parquet"
    if not path.is_file():
        return
    probes, answers = pl.read_parquet(path, glob=False), run.predictions()
    answers = answers.filter((pl.col("task") == cell.task) & (pl.col("n") == cell.n) & (pl.col("seed") == cell.seed))
    exchanges = [
        one for one in run.exchanges() if (one["task"], one["n"], one["seed"]) == (cell.task, cell.n, cell.seed)
    ]
    for examples in cell.examples:
        asked = probes.filter(pl.col("examples") == examples)  # (C Q,)
        given = {
            name: rows
            for name in (found.subject for found in cell.found)
            if (rows := answers.filter((pl.col("learner") == name) & (pl.col("position") == examples))).height
            == asked.height
        }
        if not given:
            continue
        candidates = asked["candidates"].struct.unnest()
        columns = [*map(_answered, given.values()), *(_candidate(p) for p in candidates.iter_columns())]
        labels = np.array(asked["labels"].to_list(), np.uint8)  # (C Q, m)
        queries = np.array(asked["query"].to_list(), np.uint8)[:, None]  # (C Q, 1, n)
        seen = next(iter(given.values()))["seen"].to_numpy()
        yield {
            "task": cell.task, "n": cell.n, "title": f"{cell.task}, n = {cell.n}{cell.origin}",
            "learners": [*(called[name] for name in given), *(f"{name} (candidate)" for name in candidates.columns)],
            "positions": [examples],
            "ids": asked.select("seed", "problem").rows(), "points": examples + 1,
            "answers": b"".join(answer for answer, _ in columns),
            "probabilities": b"".join(probability for _, probability in columns),
            "truths": (UNSCORED + 2 * seen).astype(np.uint8).tobytes(),
            "bits": np.concatenate([np.array(asked["inputs"].to_list(), np.uint8), queries], axis=1),
            "shown": np.concatenate([labels, np.zeros((len(labels), 1), np.uint8)], axis=1),
            "texts": _texts(list(given), exchanges, examples, asked["problem"].to_list(), cell.queries),
        }  # fmt: skip


def _answered(rows: pl.DataFrame) -> tuple[bytes, bytes]:
    prediction = rows["prediction"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    prediction = np.where(prediction < 0, np.nan, prediction)
    status = np.array([STATUSES.index(status) for status in rows["status"]], np.int8)
    return codes(prediction, status), thousandths(rows["probability"].fill_null(np.nan).to_numpy())


def _candidate(column: pl.Series) -> tuple[bytes, bytes]:
    p: NDArray[np.float64] = column.to_numpy()
    undecided = np.isclose(p, 0.5)
    prediction = np.where(undecided, np.nan, p > 0.5)
    return codes(prediction, np.where(undecided, len(STATUSES), 0).astype(np.int8)), thousandths(p)


def _texts(
    names: Sequence[str], exchanges: Sequence[dict[str, Any]], examples: int, problems: Sequence[int], queries: int
) -> list[Text]:
    """The exchanges of each subject. Those about one problem are in the order of its queries."""
    first = {problem: row for row, problem in reversed(list(enumerate(problems)))}
    count: dict[tuple[str, int], int] = {}
    found: list[Text] = []
    for one in exchanges:
        if one["learner"] in names and one["positions"] == [examples] and one["problem"] in first:
            key = one["learner"], one["problem"]
            query = count.get(key, 0)
            count[key] = query + 1
            reply = one["reply"].get("text") or one["reply"].get("message") or ""
            row = first[one["problem"]] + query % queries
            found.append([names.index(one["learner"]), row, [examples], one["text"], reply])
    return found
