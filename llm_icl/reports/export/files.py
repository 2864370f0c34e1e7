"""All files of an export."""

import re
from collections.abc import Sequence

from llm_icl.progress import OnProgress, silent
from llm_icl.reports.document import Figure, Report, Table
from llm_icl.reports.export.figures import PAGE, drawn, width_of
from llm_icl.reports.export.latex import escaped, table_text
from llm_icl.reports.export.numbers import numbers_text
from llm_icl.reports.export.parts import Part, parts_of
from llm_icl.reports.export.tables import csv_text

_MACRO = re.compile(r"newcommand{(\\[A-Za-z]+)}")
# LaTeX holds back about fifty figures and tables at most.
_HELD_BACK = 10
_PREAMBLE = r"""% Includes every figure and table of this folder, and its numbers: pdflatex example.tex
% What tables and figures need in your own document: the packages array, booktabs, graphicx and longtable.
\documentclass{article}
\usepackage[width=6.9in,height=9.5in]{geometry}
\usepackage{array,booktabs,graphicx,longtable}
\input{numbers}
\begin{document}
"""


def files_of(report: Report, on_progress: OnProgress = silent) -> dict[str, bytes]:
    """The content of each file by its name."""
    files: dict[str, bytes] = {}
    parts = parts_of(report)
    for i, part in enumerate(parts):
        on_progress("figures and tables", i, len(parts))
        if isinstance(part.block, Figure):
            files |= {f"{part.name}.{ending}": content for ending, content in drawn(part.block).items()}
        else:
            files[f"{part.name}.csv"] = csv_text(part.block, part.about).encode()
            files[f"{part.name}.tex"] = table_text(part, part.block).encode()
    numbers = numbers_text(parts)
    files["numbers.tex"] = numbers.encode()
    files["example.tex"] = _example(report, parts, _MACRO.search(numbers)).encode()
    return files


def _example(report: Report, parts: Sequence[Part], macro: re.Match[str] | None) -> str:
    lines = [rf"\section*{{{escaped(report.title)}}}"]
    if macro:
        lines.append(rf"Numbers are macros, such as \texttt{{\string{macro[1]}}} for {macro[1]}.")
    for i, part in enumerate(parts, 1):
        lines += [rf"\input{{{part.name}}}"] if isinstance(part.block, Table) else _included(part, part.block)
        if i % _HELD_BACK == 0:
            lines.append(r"\clearpage")
    return _PREAMBLE + "\n".join([*lines, r"\end{document}"]) + "\n"


def _included(part: Part, figure: Figure) -> list[str]:
    """A figure of its own size, over both columns where it is as wide as the page."""
    kind = "figure*" if width_of(figure) == PAGE else "figure"
    return [
        rf"\begin{{{kind}}}",
        rf"\centering\includegraphics{{{part.name}.pdf}}",
        rf"\caption{{{escaped(figure.says)}}}\label{{fig:{part.name}}}",
        rf"\end{{{kind}}}",
    ]
