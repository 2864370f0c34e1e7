"""A report as terminal text: cards and verdicts, and the short columns of tables."""

from collections.abc import Iterator

from tabulate import tabulate

from llm_icl.reports.document import Bullets, Card, Matrix, Paragraph, Report, Section, Table
from llm_icl.reports.values import written


def terminal_text(report: Report) -> str:
    parts = [part for section in report.sections for part in _section(section)]
    return "\n\n".join([*map(_card, report.cards), *parts, *_lines(report.verdicts)])


def _card(card: Card) -> str:
    lines = [f"  {name} ({finding.badge}): {finding.text}" for name, finding in card.findings.items()]
    return "\n".join([f"{card.of} on {card.where}", *lines])


def _section(section: Section) -> Iterator[str]:
    """Empty if a section has nothing to show on a terminal; the heading precedes its first block."""
    parts = [part for block in section.blocks if (part := _block(block))]
    parts += _lines(section.verdicts)
    parts += [part for inner in section.sections for part in _section(inner)]
    if parts:
        yield section.heading
        yield from parts


def _block(block: object) -> str:
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Bullets):
        return "\n".join(block.items)
    if isinstance(block, Matrix):
        return _table(block.table)
    return _table(block) if isinstance(block, Table) else ""


def _table(table: Table) -> str:
    columns = [column for column in table.columns if column.short]
    if not columns or not table.rows:
        return ""
    rows = [[written(row.get(column.key), column.kind) for column in columns] for row in table.rows]
    return tabulate(rows, [column.name for column in columns], tablefmt="simple", disable_numparse=True)


def _lines(sentences: tuple[str, ...]) -> list[str]:
    return ["\n".join(sentences)] if sentences else []
