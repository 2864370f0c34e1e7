"""A report as Markdown, to read and to print. Figures and folds are in the HTML page only."""

import re
from collections.abc import Iterator, Sequence

from tabulate import tabulate

from llm_icl.reports.document import (
    Block,
    Bullets,
    Card,
    Matrix,
    Paragraph,
    Provenance,
    Report,
    Section,
    Table,
)
from llm_icl.reports.values import COMMAND, written

# Markdown syntax to escape: code, emphasis, HTML, table cells, strikethrough, mathematics; underscores at the edge of a
# word; links; character entities.
_ACTIVE = re.compile(r"[\\`*<|~$]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[:])|&(?=#?\w+;)")
# Markdown syntax at the start of a text: headings, quotations, rules, lists.
_FIRST = re.compile(r"^(?:#+(?=\s|$)|>|-{3,}(?=$)|[+-](?=\s|$)|\d+(?=[.)](?:\s|$)))")


def markdown_text(report: Report) -> str:
    parts = [f"# {escaped(report.title)}"]
    parts += [escaped(report.setting)] if report.setting else []
    parts += [part for card in report.cards for part in _card(card)]
    parts += _bullets(report.verdicts)
    parts += [part for section in report.sections for part in _section(section, 2)]
    if report.notes:
        parts += ["## How to read this", *_bullets(report.notes)]
    if report.provenance:
        parts += ["## Provenance", *(part for made in report.provenance for part in _provenance(made))]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Escape text for Markdown, on one line; our commands are code."""
    parts = COMMAND.split(" ".join(text.split()))  # text, command, text, …
    parts[::2] = [_ACTIVE.sub(lambda found: "\\" + found[0], part) for part in parts[::2]]
    parts[1::2] = [f"`{command}`" for command in parts[1::2]]
    plain = "".join(parts)
    return _FIRST.sub(lambda found: found[0] + "\\" if found[0].isdigit() else "\\" + found[0], plain)


def _card(card: Card) -> Iterator[str]:
    yield f"**{escaped(card.of)}** on {escaped(card.where)}:"
    yield from _bullets([f"{name} ({finding.badge}): {finding.text}" for name, finding in card.findings.items()])


def _section(section: Section, level: int) -> list[str]:
    """Empty if all of a section is in the HTML page only."""
    parts = _bullets(section.verdicts)
    parts += [part for block in section.blocks for part in _block(block)]
    parts += [part for inner in section.sections for part in _section(inner, level + 1)]
    return [f"{'#' * min(level, 6)} {escaped(section.heading)}", *parts] if parts else []


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield escaped(block.text)
    elif isinstance(block, Bullets):
        yield from _bullets(block.items)
    elif isinstance(block, Matrix):
        yield from _block(block.table)
    elif isinstance(block, Table) and block.rows:
        yield f"{escaped(block.caption)}:"
        yield _table(block)


def _table(table: Table) -> str:
    rows = [[escaped(written(row.get(column.key), column.kind)) for column in table.columns] for row in table.rows]
    headers = [escaped(column.name) for column in table.columns]
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


def _bullets(items: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escaped(item)}" for item in items)] if items else []


def _provenance(made: Provenance) -> Iterator[str]:
    yield _indented(made.command)
    yield from _bullets([f"{name}: {fact}" for name, fact in made.facts.items()])


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines())
