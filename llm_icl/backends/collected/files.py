"""Answers that were collected elsewhere: rows of `llm-icl sample --prompts` that were filled in, or the log of another
harness, as such rows.
"""

from pathlib import Path

from llm_icl.backends.collected import inspect_log, lm_eval_log
from llm_icl.config.rows import Row, read_rows
from llm_icl.errors import RequestError


def read_answers(path: Path) -> list[Row]:
    """Raises RequestError if the file is none of these, or the log not whole."""
    if path.suffix == ".eval":
        return _whole(inspect_log.rows_of_archive(path), path)
    if path.suffix == ".json":
        log = inspect_log.read_json(path)
        return _whole(inspect_log.rows_of(*log, path), path) if log else read_rows(path)
    if path.is_dir() and (samples := sorted(path.rglob("samples_*.jsonl"))):
        if len(samples) > 1:
            raise RequestError(f"{path} holds {len(samples)} logs: import each on its own")
        path = samples[0]
    rows = read_rows(path)
    if rows and lm_eval_log.is_sample(rows[0]):
        return _whole(lm_eval_log.rows_of(rows, path), path)
    return rows


def _whole(rows: list[Row], path: Path) -> list[Row]:
    """Raise RequestError if prompts are missing: of every problem, each position must have been asked; and as many as
    the rows say where they do (of a single problem, positions that are missing are not seen otherwise).
    """
    try:
        expected = int(rows[0]["problems"]) * len({row["position"] for row in rows}) if rows else 0
        expected = max([expected, *(int(row["prompts"]) for row in rows if "prompts" in row)])
        found = len({row["id"] for row in rows})
    except (KeyError, TypeError, ValueError, OverflowError):
        raise RequestError(f"{path} is not a log of this package's tasks") from None
    if len(rows) > found:
        raise RequestError(f"{path} has {len(rows):,} answers to {found:,} prompts: a run has one to each")
    if not found or found != expected:
        raise RequestError(f"{path} is not whole: it holds {found:,} of {expected:,} prompts")
    return rows
