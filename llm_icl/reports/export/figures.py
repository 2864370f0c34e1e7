"""Figures for paper: always light, as wide as a column or a page, text of 8 points."""

import re
from collections.abc import Iterator
from html import escape
from typing import Any

from llm_icl.reports.charts import LEADER
from llm_icl.reports.document import Figure
from llm_icl.reports.drawing import in_xml

# Inches: a column of two, and the whole width of a page.
COLUMN, PAGE = 3.3, 6.9
# Of a figure's picture, in pixels per inch.
DENSITY = 300
# Units of an SVG file per inch, and 8 points in them.
_UNITS = 96
_TEXT = 8 * _UNITS / 72
# A figure that needs more than a column says so, in rem of a page: 16 units each.
_REM = 16
# The height of figures whose vertical axis is a number, as a share of their width.
_FLAT = 0.55
# The share of a column that names at the side may take.
_BESIDE = 0.4
# The width and the height of an SVG file, which come first.
_SIZE = re.compile(r'(width|height)="([\d.]+)"')
_LEGEND = {"title": None, "orient": "bottom", "symbolType": "stroke", "symbolOpacity": 1, "symbolStrokeWidth": 2,
           "labelLimit": 0}  # fmt: skip
# Units of a letter and of a symbol in a legend, about.
_LETTER, _SYMBOL = 0.55 * _TEXT, 28


def drawn(figure: Figure) -> dict[str, bytes]:
    """The files of a figure by their endings; LaTeX includes the PDF. Fonts are vl-convert's: the same everywhere."""
    import vl_convert

    svg = _described(vl_convert.vegalite_to_svg(in_xml(paper_specification(figure))), figure.says)
    svg = _scaled(svg, min(1.0, PAGE * _UNITS / float(_SIZE.findall(svg)[0][1])))
    # vl-convert takes a unit for a point, a 72nd of an inch.
    png = vl_convert.svg_to_png(svg, scale=72 / _UNITS, ppi=DENSITY)
    pdf = vl_convert.svg_to_pdf(_scaled(svg, 72 / _UNITS))
    return {"svg": svg.encode(), "png": png, "pdf": pdf}


def width_of(figure: Figure) -> float:
    """Inches: a column, unless panels or the names at the side take more."""
    wide = "facet" in figure.specification or figure.wide * _REM > COLUMN * _UNITS
    return PAGE if wide or _beside(figure.specification) > _BESIDE * COLUMN * _UNITS else COLUMN


def paper_specification(figure: Figure) -> dict[str, Any]:
    """The figure's specification with the sizes, the background and the text of paper."""
    drawing = _with_legend(figure.specification, frozenset(key.name for key in figure.keys if not key.shown))
    width = round(width_of(figure) * _UNITS)
    sizes = {"labelFontSize": _TEXT, "titleFontSize": _TEXT, "titleFontWeight": "normal"}
    black = {"labelColor": "black", "titleColor": "black"}
    columns = _legend_columns(drawing, width)
    config = {
        "axis": {**sizes, **black},
        "header": {**sizes, **black},
        "legend": {**sizes, "labelColor": "black", "offset": 6, "columns": columns},
        "text": {"fontSize": _TEXT},
    }
    padding = {"left": 1, "top": 1, "bottom": 1, "right": max(1, _over_the_end(drawing, width))}
    paper = {"padding": padding, "background": "white", "config": config}
    return drawing | _sized(drawing, width) | paper


def _with_legend(value: Any, hidden: frozenset[str]) -> Any:
    """A specification with the legend that a page writes itself, and without series that are hidden at first."""
    if isinstance(value, list):
        kept = [row for row in value if not (isinstance(row, dict) and row.get("series") in hidden)]
        return [_with_legend(inner, hidden) for inner in kept]
    if not isinstance(value, dict):
        return value
    found = {key: _with_legend(inner, hidden) for key, inner in value.items()}
    if found.get("type") == "text":
        found["fontSize"] = _TEXT
    for channel in ("color", "strokeDash"):
        if isinstance(one := found.get(channel), dict) and one.get("field") == "series":
            scale = one["scale"]
            shown = [pair for pair in zip(scale["domain"], scale["range"], strict=True) if pair[0] not in hidden]
            domain, range_ = ([pair[i] for pair in shown] for i in (0, 1))
            # Legends of the same names are drawn as one: a line with its colour and dashes.
            found[channel] = one | {"scale": scale | {"domain": domain, "range": range_}, "legend": _LEGEND}
    return found


def _sized(specification: dict[str, Any], width: int) -> dict[str, Any]:
    own = specification.get("height")
    if isinstance(own, int | float):
        flat = own if _has_names_down(specification) else round(_FLAT * width)
        return {"width": width, "height": min(flat, own), "autosize": {"type": "fit-x", "contains": "padding"}}
    # Vega-Lite fits no panels: they share what the names at the side leave.
    panels = len(specification.get("facet", {}).get("column", {}).get("sort") or ())
    if not panels:
        return {}
    room = width - _beside(specification) - 3 * _TEXT
    return {"spec": specification["spec"] | {"width": room / panels - specification.get("spacing", 0)}}


def _beside(specification: dict[str, Any]) -> float:
    """Units that the names of rows take, about."""
    rows = [str(name) for y in _channels(specification, "y") for name in y.get("sort") or ()]
    return max(map(len, rows), default=0) * _LETTER


def _over_the_end(specification: dict[str, Any], width: int) -> float:
    """Units by which names at the ends of lines are longer than half of the last place of an axis of places."""
    places = {row["x"] for layer in specification.get("layer", []) for row in layer.get("data", {}).get("values", [])
              if "x" in row}  # fmt: skip
    if not any(x.get("type") == "ordinal" for x in _channels(specification, "x")):
        return 0.0
    names = [row["series"] for layer in specification["layer"] for row in layer["data"]["values"]
             if isinstance(layer["mark"], dict) and layer["mark"]["type"] == "text"]  # fmt: skip
    longest = max(map(len, names), default=0) * _LETTER
    return longest + LEADER - 0.4 * width / max(len(places), 1)


def _scaled(svg: str, factor: float) -> str:
    return _SIZE.sub(lambda found: f'{found[1]}="{factor * float(found[2]):g}"', svg, count=2)


def _described(svg: str, says: str) -> str:
    """With a text alternative, which Vega leaves out."""
    start = svg.index(">") + 1
    return f"{svg[:start]}<desc>{escape(in_xml(says))}</desc>{svg[start:]}"


def _has_names_down(specification: dict[str, Any]) -> bool:
    """Whether the vertical axis has a row for each name, so that the height follows their number."""
    return any(y.get("type") in ("nominal", "ordinal") for y in _channels(specification, "y"))


def _legend_columns(specification: dict[str, Any], width: int) -> int:
    names = [name for colour in _channels(specification, "color") for name in colour.get("scale", {}).get("domain", [])]
    longest = max((len(str(name)) for name in names), default=1)
    return max(1, int(width / (longest * _LETTER + _SYMBOL)))


def _channels(specification: Any, channel: str) -> Iterator[dict[str, Any]]:
    """The definitions of a channel in all layers."""
    if found := specification.get("encoding", {}).get(channel):
        yield found
    for inner in (*specification.get("layer", []), *([specification["spec"]] if "spec" in specification else [])):
        yield from _channels(inner, channel)
