"""Rows of labelled texts, one at a time: from a user's files, or from the Hugging Face hub."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.backends.hub import reach_hub
from llm_icl.config.rows import once
from llm_icl.config.specs import counted
from llm_icl.config.texts import read_lines
from llm_icl.errors import RequestError

Row = dict[str, Any]
# Rows with their numbers.
Numbered = Iterator[tuple[int, Row]]

# The longest text in a cell of a CSV file: a quotation mark that is not closed ends here.
_LONGEST_CELL = 2**24
# Rows in memory at once.
_AT_ONCE = 10_000
# The same of a Parquet file, each slice of which costs the reading of a whole group of rows.
_SLICE = 2**17


@dataclass(frozen=True)
class Source:
    """The rows of a split; `unit` is what their numbers count, from 1: lines or rows."""

    name: str
    unit: str
    rows: Numbered

    def place(self, number: int) -> str:
        return f"{self.name}, {self.unit} {number}"


def file_source(folder: Path, split: str) -> Source:
    """The file of a split, in any format. Raises RequestError if there is none, or several."""
    found = [path for ending in FORMATS if (path := folder / f"{split}{ending}").is_file()]
    if len(found) > 1:
        raise RequestError(f"{found[0]} and {found[1].name}: only one file may hold the split {split}")
    if not found:
        others = sorted(path.name for path in folder.glob(f"{split}.*"))
        there = f"; there is {', '.join(others)}" if others else ""
        raise RequestError(
            f"{folder / split}.jsonl does not exist: --data-dir must contain {folder.name}/{split}.jsonl (or "
            f"{', '.join(list(FORMATS)[1:])}){there}"
        )
    (path,) = found
    read = FORMATS[path.name.removeprefix(split)]
    return Source(str(path), "row" if read is _parquet else "line", read(path))


def _jsonl(path: Path) -> Numbered:
    for number, line in read_lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=once)
        except (ValueError, RecursionError) as problem:
            why = f"not a whole JSON object ({getattr(problem, 'msg', problem)})"
            row = None
        else:
            why = "a JSON array" if isinstance(row, list) else "not a JSON object"
        if not isinstance(row, dict):
            raise RequestError(f"{path}, line {number}: {why}: write one object a line")
        yield number, row


def _csv(path: Path) -> Numbered:
    return _separated(path, ",")


def _tsv(path: Path) -> Numbered:
    return _separated(path, "\t")


def _separated(path: Path, delimiter: str) -> Numbered:
    """The rows of a table with a header; a row begins on the line that is its number."""
    csv.field_size_limit(_LONGEST_CELL)
    reader = csv.reader((line for _, line in read_lines(path)), delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as problem:
            endless = str(problem).startswith(("unexpected end", "field larger"))
            why = "a quotation mark is not closed" if endless else problem
            raise RequestError(f"{path}, line {number}: {why}") from None
        if cells is None:
            return
        if not cells:
            continue
        if not header:
            header = [cell.strip() for cell in cells]
            if repeated := [name for i, name in enumerate(header) if name in header[:i]]:
                raise RequestError(f"{path}, line {number}: the column '{repeated[0]}' appears twice")
            continue
        if delimiter == "\t" and any(_is_several_rows(cell, i, len(header)) for i, cell in enumerate(cells)):
            raise RequestError(
                f"{path}, line {number}: a quotation mark begins a cell that goes on to line {reader.line_num}, over "
                'whole rows; write "" for a quotation mark in a cell, and put the cell in quotation marks'
            )
        if len(cells) != len(header):
            raise RequestError(f"{path}, line {number}: {counted(len(cells), 'value')} for {len(header)} columns")
        yield number, dict(zip(header, cells, strict=True))


def _is_several_rows(cell: str, place: int, columns: int) -> bool:
    """Whether the first line of a tab-separated cell, in the cell's place, is a whole row, and others follow."""
    first, more, _ = cell.partition("\n")
    return bool(more) and place + first.count("\t") + 1 == columns and "\t" in first


def _parquet(path: Path) -> Numbered:
    import polars as pl

    try:
        frame = pl.scan_parquet(path, glob=False)
        start = 0
        while (some := frame.slice(start, _SLICE).collect()).height:
            yield from enumerate(some.iter_rows(named=True), start + 1)
            start += some.height
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise RequestError(f"{path} cannot be read: {str(problem).splitlines()[0]}") from None


# By ending; those of text may be compressed.
FORMATS: dict[str, Callable[[Path], Numbered]] = {
    ".jsonl": _jsonl, ".csv": _csv, ".tsv": _tsv, ".jsonl.gz": _jsonl, ".csv.gz": _csv, ".tsv.gz": _tsv,
    ".parquet": _parquet,
}  # fmt: skip


def hub_source(name: str, hub: str, configuration: str, split: str) -> Source:
    """A split of a data set on the Hugging Face hub. Raises RequestError if it is unavailable."""
    import datasets
    import huggingface_hub

    try:
        reach_hub()
    except OSError:  # what was downloaded earlier is still in the cache
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        found = datasets.load_dataset(hub, configuration or None, split=split)
    except Exception as problem:  # the hub's client raises anything, from many libraries
        reason = (str(problem).strip().splitlines() or ["no reason is known"])[0]
        raise RequestError(
            f"dataset '{name}' is unavailable from the hub ({reason}); for your own files use --data-dir DIR, with "
            f"DIR/{name}/{split}.jsonl that has the columns of {hub}"
        ) from None
    tables = found.with_format("arrow").iter(_AT_ONCE)
    return Source(
        f"dataset '{name}', {split}", "row", enumerate((row for some in tables for row in some.to_pylist()), 1)
    )
