"""The tables of a report as one data frame."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Block, Fold, Matrix, Report, Section, Table

if TYPE_CHECKING:
    import polars as pl


def report_frame(report: Report) -> "pl.DataFrame":
    """A row for each row of each table, with its section, its table, what the section is about, and the columns by
    their keys. An estimate has three columns: its value, and the ends of its 95 % interval, `…_low` and `…_high`;
    fractions are between 0 and 1.
    """
    import polars as pl

    rows = [row for section in report.sections for row in _rows(section)]
    return pl.DataFrame(rows, infer_schema_length=None)


def _rows(section: Section) -> Iterator[dict[str, Any]]:
    for table in tables_of(section.blocks):
        for row in table.rows:
            about = {"section": section.heading, "table": table.key, **section.about}
            yield about | {
                key: value for column in table.columns for key, value in _cells(column.key, row.get(column.key))
            }
    for inner in section.sections:
        yield from _rows(inner)


def _cells(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Estimate):
        yield from ((key, value.value), (f"{key}_low", value.low), (f"{key}_high", value.high))
    else:
        yield key, value


def tables_of(blocks: Sequence[Block]) -> Iterator[Table]:
    """All tables, including those in folds."""
    for block in blocks:
        if isinstance(block, Table):
            yield block
        elif isinstance(block, Matrix):
            yield block.table
        elif isinstance(block, Fold):
            yield from tables_of(block.blocks)
