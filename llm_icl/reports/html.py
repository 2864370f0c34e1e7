"""The report as one HTML file that needs nothing else: figures, scripts and data are in it."""

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def page(template: str, figures: dict[str, dict[str, Any]], **values: Any) -> str:
    """A template with its figures. Whatever comes from models or users is escaped by the template."""
    import vl_convert

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    vega = Markup(vl_convert.javascript_bundle().replace("</script", "<\\/script"))  # type: ignore[call-arg]
    return environment.get_template(template).render(
        figures=figures, figures_json=_for_script(figures), vega=vega, **values
    )


def _for_script(data: Any) -> Markup:
    """JSON that cannot end the script element that it stands in."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029"))
