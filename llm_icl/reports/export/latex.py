"""Tables as LaTeX, with the rules of booktabs."""

import itertools
import re
import textwrap
import unicodedata

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Column, Row, Table
from llm_icl.reports.export.parts import Part
from llm_icl.reports.values import Kind, Value, written

# Tables of more lines break over pages.
_ON_A_PAGE = 40
# Long tables of more columns than this are too wide for a page.
_ACROSS = 8
# Texts of more letters than this are broken into lines.
_LONG = 40
# With more columns that have intervals than this, these stand below the values.
_BESIDE = 3
# Letters of a line of a heading.
_HEADING = 14
_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"{\ttfamily\char34}", "`": r"\textasciigrave{}", "'": r"\textquotesingle{}",
    # At the beginning of a row these would belong to the end of the row before.
    "[": "{[}", "]": "{]}", "*": "{*}",
    "−": "$-$", "×": r"$\times$", "±": r"$\pm$", "≤": r"$\leq$", "≥": r"$\geq$", "≠": r"$\neq$", "≈": r"$\approx$",
    "→": r"$\rightarrow$", "∞": r"$\infty$", "∧": r"$\wedge$", "∨": r"$\vee$", "¬": r"$\neg$", "⊕": r"$\oplus$",
    "…": r"\dots{}", "–": r"\textendash{}", "—": r"\textemdash{}", "‘": "`", "’": "'", "“": "``", "”": "''",
}  # fmt: skip
# Two of these would become one sign.
_LIGATURES = re.compile("-(?=-)|,(?=,)")
# Other letters that every LaTeX has: Latin ones with accents.
_LATIN = re.compile("(?![ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲų])[\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u017e]")
_POWER = re.compile(r"([+-]?\d\.\d+)e([+-]?)0*(\d+)")
_SIGN = re.compile(r"[+-](?=\d)|<(?= \d)")


def escaped(text: str) -> str:
    """Text that LaTeX prints as it is, on one line. Characters that LaTeX has no letter for become their number."""
    one_line = unicodedata.normalize("NFC", " ".join(text.split()))
    return _LIGATURES.sub(r"\g<0>{}", "".join(map(_escaped, one_line)))


def number(value: Value, kind: Kind) -> str:
    """A number with its interval, as the report writes it: `50.0 [25.0, 75.0]`."""
    return _mathematical(written(value, kind))


def table_text(part: Part, table: Table) -> str:
    """A `table` with caption and label `tab:NAME`; a long one is a `longtable`, or several tables if it is wide."""
    estimated = {c.key for c in table.columns for row in table.rows if isinstance(row.get(c.key), Estimate)}
    caption = f"{escaped(part.heading)}: {escaped(table.caption)}."
    if estimated:
        caption += f" In brackets: {escaped(table.intervals)}.".replace(r" \%", r"\,\%")
    titled = rf"\caption{{{caption}}}\label{{tab:{part.name}}}"
    form = "".join(_form(column, table) for column in table.columns)
    head = [r"\toprule", " & ".join(map(_heading, table.columns)) + r" \\", r"\midrule"]
    rows = [_lines(table, row, len(estimated) > _BESIDE) for row in table.rows]
    is_long = sum(map(len, rows)) + sum(_further_lines(table, row) for row in table.rows) > _ON_A_PAGE
    if is_long and len(table.columns) <= _ACROSS:
        small = r"{\footnotesize\setlength{\tabcolsep}{3pt}"
        begin = [small, rf"\begin{{longtable}}{{{form}}}", titled + r"\\"]
        heads = [*head, r"\endfirsthead", *head, r"\endhead"]
        lines = [*begin, *heads, *itertools.chain(*rows), r"\bottomrule", r"\end{longtable}}"]
        return "\n".join(lines) + "\n"
    # A long table cannot be made smaller; several short ones can.
    size = max(1, _ON_A_PAGE * len(rows) // max(1, sum(map(len, rows)))) if is_long else max(1, len(rows))
    pages = [rows[start : start + size] for start in range(0, max(1, len(rows)), size)]
    lines = []
    for number, page in enumerate(pages):
        title = titled if not number else rf"{{{caption} Continued ({number + 1} of {len(pages)}).\par\smallskip}}"
        inner = [rf"\begin{{tabular}}{{{form}}}", *head, *itertools.chain(*page), r"\bottomrule", r"\end{tabular}}%"]
        # Wider than the text, it is made smaller.
        fits = r"\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi"
        lines += [r"\begin{table}", r"\centering\small", title, r"\sbox0{%", *inner, fits, r"\end{table}"]
    return "\n".join(lines) + "\n"


def _escaped(character: str) -> str:
    if character in _SPECIAL:
        return _SPECIAL[character]
    if (character.isascii() and character.isprintable()) or _LATIN.match(character):
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def _further_lines(table: Table, row: Row) -> int:
    """Lines that a row has because its longest text is broken, about."""
    texts = [row[column.key] for column in table.columns if isinstance(row.get(column.key), str)]
    return max((len(str(text)) // _LONG for text in texts), default=0)


def _form(column: Column, table: Table) -> str:
    """Numbers to the right, texts to the left, long ones in lines."""
    if column.kind != "text":
        return "r"
    longest = max(len(str(row.get(column.key) or "")) for row in table.rows)
    return r">{\raggedright\arraybackslash}p{1.6in}" if longest > _LONG else "l"


def _heading(column: Column) -> str:
    name = f"{column.name} (%)" if column.kind in ("share", "change") else column.name
    name = name.replace(" %", "\N{NO-BREAK SPACE}%")
    wrapped = textwrap.wrap(name, _HEADING, break_long_words=False, break_on_hyphens=False)
    lines = r"\\".join(map(escaped, wrapped))
    side = "l" if column.kind == "text" else "r"
    return rf"\shortstack[{side}]{{{lines}}}" if len(wrapped) > 1 else lines


def _lines(table: Table, row: Row, below: bool) -> list[str]:
    """A row, with the intervals beside the values or below them."""
    cells = [_cell(row.get(column.key), column) for column in table.columns]
    values, intervals = [value for value, _ in cells], [interval for _, interval in cells]
    if row.get(table.columns[0].key) in table.strong:
        values[0] = rf"\textbf{{{values[0]}}}"
    small = [rf"{{\scriptsize {interval}}}" if interval else "" for interval in intervals]
    if not below or not any(intervals):
        return [" & ".join(" ".join(filter(None, pair)) for pair in zip(values, small, strict=True)) + r" \\"]
    return [" & ".join(values) + r" \\", " & ".join(small) + r" \\ \addlinespace"]


def _cell(value: Value, column: Column) -> tuple[str, str]:
    """What it is, and its interval if it has one."""
    if isinstance(value, str):
        return escaped(value), ""
    shown, bracket, interval = number(value, column.kind).partition(" [")
    return shown or "--", f"[{interval}" if bracket else ""


def _mathematical(text: str) -> str:
    """Signs and powers of numbers as mathematics writes them."""
    powers = _POWER.sub(lambda found: rf"${found[1]}\times10^{{{found[2].strip('+')}{found[3]}}}$", text)
    return powers if powers != text else _SIGN.sub(lambda found: f"${found[0]}$", text)
