"""Sample prompts and replies: one exchange for each language model, task, n and prompt."""

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from llm_icl.reports.document import Column, Fold, Preformatted, Row, Table
from llm_icl.runs import RunDirectory

# Sample exchanges shown for each language model in each cell.
_SAMPLES = 1
_COLUMNS = (
    Column("position", "position", "count"),
    Column("truth", "truth", "count"),
    Column("answer", "answer"),
    Column("", "verdict"),
)


def samples_of(runs: Sequence[RunDirectory]) -> list[Fold]:
    samples = [sample for run in runs for sample in _samples(run)]
    return [
        Fold(title, (Preformatted(text), Table(f"sample_{i}", "Answers by position", _COLUMNS, answers)))
        for i, (title, text, answers) in enumerate(samples, 1)
    ]


def _samples(run: RunDirectory) -> Iterator[tuple[str, str, tuple[Row, ...]]]:
    """The title, the prompt with its reply, and the answers."""
    shown: dict[tuple[Any, ...], int] = {}
    exchanges = run.exchanges()
    frame = run.predictions() if exchanges else pl.DataFrame()
    for exchange in exchanges:
        key = (exchange["learner"], exchange["task"], exchange["n"], exchange["prompt"])
        if shown.get(key, 0) >= _SAMPLES:
            continue
        shown[key] = shown.get(key, 0) + 1
        rows = frame.filter(
            *(pl.col(name) == exchange[name] for name in ("learner", "task", "n", "seed", "problem", "prompt")),
            pl.col("position").is_in(exchange["positions"]),
        )
        rows = rows.sort("position").unique("position", maintain_order=True)
        title = "{learner}, {task}, n = {n}, prompt {prompt}, problem {problem}".format(**exchange)
        text = exchange["text"] + (exchange["reply"].get("text") or "")
        answers = tuple(
            {
                "position": row["position"],
                "truth": row["label"],
                "answer": _answer(row),
                "verdict": "right" if row["prediction"] == row["label"] else "wrong",
            }
            for row in rows.iter_rows(named=True)
        )
        yield title, text, answers


def _answer(row: dict[str, Any]) -> str:
    if row["probability"] is not None:
        return f"P(1) = {row['probability']:.3f}"
    return str(row["prediction"]) if row["prediction"] is not None else row["status"]
