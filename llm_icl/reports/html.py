"""A report as one self-contained HTML file, including figures, scripts and data."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from llm_icl.reports.document import Report
from llm_icl.reports.values import written


def html_page(report: Report) -> str:
    """The template escapes all text from models and users."""
    import vl_convert

    figures = {
        f"{section.anchor}-{figure.name}": figure.specification | {"description": figure.says}
        for section in report.all_sections()
        for figure in section.figures()
    }
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    vega = Markup(vl_convert.javascript_bundle().replace("</script", "<\\/script"))  # type: ignore[call-arg]
    return environment.get_template("page.html.jinja").render(
        report=report,
        written=written,
        kind_of=lambda block: type(block).__name__,
        figures=list(figures),
        figures_json=_for_script(figures),
        vega=vega,
    )


def _for_script(data: Any) -> Markup:
    """JSON that is safe inside a script element."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
