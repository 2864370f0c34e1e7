"""A report as one self-contained HTML file: its text, tables and figures, its own small scripts, and packed data."""

import gzip
import json
from base64 import b64encode
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from llm_icl.analysis.comparisons import MARGIN
from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import Figure, Report
from llm_icl.reports.drawing import svg_of
from llm_icl.reports.terms import TERMS
from llm_icl.reports.values import COMMAND, Value, written

_FOLDER = Path(__file__).parent / "page"
# In this order: each may use what those before it define.
_SCRIPTS = (
    "unpack",
    "address",
    "reading",
    "figures",
    "legend",
    "saving",
    "list",
    "overview",
    "problems",
    "compare",
    "start",
)
# Gaps below these are shaded alike, in points.
_SHADES = (2, 5, 10, 20)


def html_page(report: Report) -> str:
    """The template escapes all text from models and users."""
    return _environment().get_template("page.html.jinja").render(report=report)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["sentence"] = _sentence
    environment.globals |= {
        "written": written,
        "kind_of": lambda block: type(block).__name__,
        "drawing": lambda figure: Markup(svg_of(figure)),
        "packed_drawing": lambda figure: _packed(svg_of(figure).encode()),
        "packed": _packed,
        "packed_json": lambda data: _packed(json.dumps(data, allow_nan=False).encode()),
        "file_of": _file_of,
        "shade": _shade,
        "untold": _untold,
        "term_of": _term_of,
        "style": Markup((_FOLDER / "page.css").read_text(encoding="utf-8")),
        "script": Markup("\n".join((_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in _SCRIPTS)),
    }
    return environment


def _sentence(text: str) -> Markup:
    """Escaped, with our commands as code."""
    return Markup(COMMAND.sub(r"<code>\1</code>", str(escape(text))))


def _packed(data: bytes) -> Markup:
    """Compressed, in letters that mean nothing in HTML."""
    return Markup(b64encode(gzip.compress(data, 6, mtime=0)).decode())


def _file_of(anchor: str, figure: Figure) -> str:
    """The name of a saved figure, without its suffix."""
    return f"{anchor}-{figure.name}"


def _shade(value: Value) -> str:
    """A class for the size of a gap."""
    if not isinstance(value, Estimate) or not value.known:
        return ""
    return f"gap{sum(100 * value.value >= least for least in _SHADES)}"


def _untold(value: Value) -> bool:
    """Whether an estimate neither differs from 0 nor is shown to be small."""
    if not isinstance(value, Estimate) or not value.known or value.identical:
        return False
    return not (value.low > 0 or value.high < 0 or (value.low > -MARGIN and value.high < MARGIN))


def _term_of(name: str) -> str | None:
    """The explanation of a column's name, if there is one."""
    return TERMS.get(name)
