"""The numbers of a report as macros: `\\iclMajorityNThreeBayesAverage`."""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Column, Table
from llm_icl.reports.export.latex import number
from llm_icl.reports.export.parts import Part, distinct, identities
from llm_icl.reports.values import Kind, Value, written

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
# Signs that make a difference: of numbers, and of formulas.
_SIGNS = {"-": "Minus", ".": "Point", "+": "Plus", "&": "And", "|": "Or", "~": "Not", "^": "Xor"}
_WORDS = {str(digit): word for digit, word in enumerate(_DIGITS)} | _SIGNS
_PIECES = re.compile(r"[A-Za-z]+|[0-9]|[+&|~^]|(?<![A-Za-z0-9])-(?=[0-9])|(?<=[0-9])\.(?=[0-9])")
_UNITS = {"share": "percent", "change": "percent", "points": "points"}
# A number of examples may be a word ("not reached"); a macro's is a number.
_WITHOUT_WORDS: dict[Kind, Kind] = {"examples": "count"}
# Macros are for text and for formulas.
_MATHEMATICS, _ENSURED = re.compile(r"\$(.*?)\$"), r"\\ensuremath{\1}"
# What tells rows apart whatever else does.
_PLACES = ("task", "n")


@dataclass(frozen=True)
class _Macro:
    """`of` is what the number is of: the task, n and what names the row."""

    part: Part
    of: tuple[str, ...]
    quantity: str
    comment: str
    value: str


def numbers_text(parts: Sequence[Part]) -> str:
    """A macro for each number of each table that is not in a fold, and for the ends of its interval, each after a
    comment on what it is. Numbers are rounded as in the report; a number that is unknown has no macro.
    """
    macros = [
        macro
        for part in parts
        if isinstance(part.block, Table) and not part.folded
        for macro in _macros(part, part.block)
    ]
    lines = ["% Numbers of a report by llm-icl. The names: task, n, row, key of the column (as in the CSV files)."]
    for name, macro in zip(_names(macros), macros, strict=True):
        lines += [f"% {macro.comment}", rf"\newcommand{{\{name}}}{{{macro.value}}}"]
    return "\n".join(lines) + "\n"


def letters(text: str) -> str:
    """A name of letters only: `smollm2-135m` is SmollmTwoOneThreeFiveM."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return "".join(_WORDS.get(piece, piece[0].upper() + piece[1:]) for piece in _PIECES.findall(ascii_only))


def _names(macros: Sequence[_Macro]) -> list[str]:
    """Those that would have the same name have that of their table in it, or letters from what they are of."""
    choices = []
    for macro, identity in zip(macros, identities(f"{m.part.name} {m.of} {m.quantity}" for m in macros), strict=True):
        named, table, quantity = (letters(" ".join(macro.of)), letters(macro.part.key), letters(macro.quantity))
        within = f"icl{named}{table}{quantity}"
        choices.append((f"icl{named}{quantity}", within, within + identity.upper()))
    return distinct(choices)


def _macros(part: Part, table: Table) -> Iterator[_Macro]:
    naming = _naming(table)
    where = [f"{key} {part.about[key]}" if key == "n" else str(part.about[key]) for key in _PLACES if key in part.about]
    for row in table.rows:
        of = (*where, *(_said(row.get(column.key), column) for column in naming))
        for column in (column for column in table.columns if column not in naming):
            for end, value in _numbers(row.get(column.key)):
                unit = f", {_UNITS[column.kind]}" if column.kind in _UNITS else ""
                comment = f"{', '.join(of)}: {column.name}{unit}{f', {end} end of the interval' if end else ''}"
                shown = number(value, _WITHOUT_WORDS.get(column.kind, column.kind))
                quantity = f"{column.key} {end}"
                yield _Macro(part, of, quantity, " ".join(comment.split()), _MATHEMATICS.sub(_ENSURED, shown))


def _naming(table: Table) -> list[Column]:
    """The columns that tell rows apart: the first ones, as many as it takes, and a task and an n anywhere."""
    plain = [
        column for column in table.columns if not any(isinstance(row.get(column.key), Estimate) for row in table.rows)
    ]
    for first in range(1, len(plain) + 1):
        if len({tuple(row.get(column.key) for column in plain[:first]) for row in table.rows}) == len(table.rows):
            break
    else:
        first = 1
    return [*plain[:first], *(column for column in plain[first:] if column.key in _PLACES)]


def _numbers(value: Value) -> Iterator[tuple[str, float]]:
    """A number itself and the ends of its interval, where they are finite."""
    if isinstance(value, str) or value is None:
        return
    parts = zip(("", "low", "high"), value, strict=True) if isinstance(value, Estimate) else [("", value)]
    yield from ((end, part) for end, part in parts if math.isfinite(part))


def _said(value: Value, column: Column) -> str:
    return value if isinstance(value, str) else f"{column.key} {written(value, column.kind)}"
