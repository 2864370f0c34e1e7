"""A report as JSON data: docs/reference/files.md lists its fields. `format` is incremented when a field changes its
meaning or is removed.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Block, Bullets, Paragraph, Report, Section
from llm_icl.reports.frame import tables_of
from llm_icl.reports.values import Value

FORMAT = 3


def report_data(report: Report) -> dict[str, Any]:
    """Tables are lists of rows, a row an object by the keys of its columns."""
    return {
        "format": FORMAT,
        "title": report.title,
        "setting": report.setting,
        "cards": [dataclasses.asdict(card) for card in report.cards],
        "verdicts": list(report.verdicts),
        "sections": [_section(section) for section in report.sections],
        "notes": list(report.notes),
    }


def plain(value: Value) -> Any:
    """JSON values for special numbers: null if unknown, "infinity" if infinite."""
    if isinstance(value, Estimate):
        numbers = {key: plain(part) for key, part in value._asdict().items()}
        return numbers | {"identical": True} if value.identical else numbers
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return value


def _section(section: Section) -> dict[str, Any]:
    return {
        "heading": section.heading,
        "about": {key: plain(value) for key, value in section.about.items()},
        "verdicts": list(section.verdicts),
        "text": _text(section.blocks),
        "tables": _tables(section.blocks),
        "sections": [_section(part) for part in section.sections],
    }


def _tables(blocks: Sequence[Block]) -> dict[str, list[dict[str, Any]]]:
    """The rows of the tables by key; those of tables with the same key one after another."""
    found: dict[str, list[dict[str, Any]]] = {}
    for table in tables_of(blocks):
        rows = [{column.key: plain(row.get(column.key)) for column in table.columns} for row in table.rows]
        found.setdefault(table.key, []).extend(rows)
    return found


def _text(blocks: Sequence[Block]) -> list[str]:
    sentences: list[str] = []
    for block in blocks:
        if isinstance(block, Paragraph):
            sentences.append(block.text)
        elif isinstance(block, Bullets):
            sentences += block.items
    return sentences
