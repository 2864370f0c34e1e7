"""Tables as CSV: the numbers of `--json`, with all their digits."""

import csv
import io
import math
from collections.abc import Iterator, Mapping
from typing import Any

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Column, Table
from llm_icl.reports.values import Value


def csv_text(table: Table, about: Mapping[str, Value]) -> str:
    """A column for each key, after what the table is about (task, n, …). An estimate has three: its value and, as
    `KEY_low` and `KEY_high`, the ends of its interval (95 %, in the overview of models corrected for all comparisons);
    and `KEY_identical` in a table where learners gave the same answers. What is unknown is empty.
    """
    written = io.StringIO()
    around = {key: value for key, value in about.items() if key not in {column.key for column in table.columns}}
    columns = [cell for column in table.columns for cell in _cells(column, table)]
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow([*around, *(name for name, _, _ in columns)])
    for row in table.rows:
        lines.writerow(
            [*map(_plain, around.values()), *(_plain(_part(row.get(key), part)) for _, key, part in columns)]
        )
    return written.getvalue()


def _cells(column: Column, table: Table) -> Iterator[tuple[str, str, str]]:
    """The columns of a column: name, key and which part of its values."""
    values = [row.get(column.key) for row in table.rows]
    yield column.key, column.key, "value"
    if any(isinstance(value, Estimate) for value in values):
        yield f"{column.key}_low", column.key, "low"
        yield f"{column.key}_high", column.key, "high"
    if any(isinstance(value, Estimate) and value.identical for value in values):
        yield f"{column.key}_identical", column.key, "identical"


def _part(value: Value, part: str) -> Any:
    if isinstance(value, Estimate):
        return getattr(value, part)
    return value if part == "value" else None


def _plain(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
