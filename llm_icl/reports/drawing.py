"""Figures as SVG: drawn when a report is written, so that a page needs no library to show them."""

import re
from typing import Any

from llm_icl.reports.document import Figure
from llm_icl.reports.vega import svg

# The width of a figure that fills its container, in px. Pages scale it: readable at half and at twice the width.
_WIDTH = 560
# Colours that a page replaces by those of its theme.
TEXT, LINE = "#1c1e21", "#dfe2e6"
# These have the same widths, so that what is measured here fits in any browser.
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
_AXIS = {"labelColor": TEXT, "titleColor": TEXT, "gridColor": LINE, "domainColor": LINE, "tickColor": LINE,
         "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal"}  # fmt: skip
_CONFIG: dict[str, Any] = {
    "font": FONT,
    "view": {"stroke": LINE},
    "axis": _AXIS,
    "header": {"labelColor": TEXT, "labelFontSize": 12},
    "legend": {"disable": True},
}
# Roles of the parts of a drawing: a page reads it out as a whole, and its marks when asked.
_ROLES = re.compile(r' (?:role|aria-roledescription)="[^"]*"')
_NOT_XML = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def svg_of(figure: Figure) -> str:
    """The drawing without a legend, which a page writes itself."""
    specification = in_xml(figure.specification)
    if specification.get("width") == "container":
        specification["width"] = _WIDTH
    specification["padding"] = {"left": 4, "top": 6, "bottom": 4, "right": 16}
    drawn = _ROLES.sub("", svg(specification, _CONFIG))
    drawn = drawn.replace(' aria-label="', ' data-says="')
    start = drawn.index(">") + 1
    width, height = re.findall(r'(?:width|height)="([\d.]+)"', drawn[:start])[:2]
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return f'<svg class="marks" aria-hidden="true" {size}>{drawn[start:]}'


def in_xml(value: Any) -> Any:
    """A specification without the characters that SVG cannot hold: vl-convert would end the process."""
    if isinstance(value, str):
        return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {in_xml(key): in_xml(inner) for key, inner in value.items()}
    return [in_xml(inner) for inner in value] if isinstance(value, list | tuple) else value
