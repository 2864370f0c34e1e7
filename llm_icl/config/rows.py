"""Files of rows: one object each, with named values."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_icl.config.texts import read_lines
from llm_icl.errors import RequestError

Row = Mapping[str, Any]
# Labels as programs write them.
_LABELS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def read_rows(path: Path) -> list[Row]:
    """From JSON lines, Parquet, or a Hugging Face dataset folder. Raises RequestError, with the line."""
    if path.is_dir():
        return _dataset(path)
    if path.suffix == ".parquet":
        import polars as pl

        try:
            return list(pl.read_parquet(path, glob=False).to_dicts())
        except (pl.exceptions.PolarsError, OSError) as problem:
            raise RequestError(f"{path} cannot be read: {str(problem).splitlines()[0]}") from None
    rows: list[Row] = []
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=once)
        except (json.JSONDecodeError, RecursionError):
            row = None
        except ValueError as problem:
            raise RequestError(f"{path}, line {number}: {problem}") from None
        if not isinstance(row, Mapping):
            raise RequestError(f"{path}, line {number} is not a JSON object: one object a line is expected")
        rows.append(row)
    return rows


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, of its members. Raises ValueError for a key that appears twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"'{next(key for key in keys if keys.count(key) > 1)}' appears twice")
    return row


def _dataset(path: Path) -> list[Row]:
    files = sorted((path / "data").glob("*.parquet"))
    if len(files) == 1:
        return read_rows(files[0])
    if files:
        raise RequestError(f"{path} has {len(files)} splits: give the file of one, such as {files[0]}")
    from datasets import Dataset, load_from_disk

    try:
        found = load_from_disk(str(path))
    except (OSError, ValueError) as problem:
        raise RequestError(f"{path} is not a dataset: {str(problem).splitlines()[0]}") from None
    if not isinstance(found, Dataset):
        raise RequestError(f"{path} has several splits: give the folder of one")
    rows: list[Row] = found.to_list()
    return rows


def label_of(answer: Any) -> int | None:
    """The label 0 or 1 that a program wrote; a column of numbers with gaps has 1.0. None if it is none."""
    return _LABELS.get(str(answer).strip().lower())


def contradiction(answer: Any, probability: float | None) -> str:
    """Where an answer is not the likelier label; empty if it is."""
    if answer is None or probability in (None, 0.5) or int(answer) == (probability > 0.5):
        return ""
    return f"'answer' is {answer}, but 'probability', that of 1, is {probability:g}"
