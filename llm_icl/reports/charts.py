"""Figures as Vega-Lite specifications: lines over a common axis, dots beside one another, and heat maps.

They are plain dictionaries: checking every object of a chart against a schema took most of the time of large reports.
Each mark is described in three lines, whose answer it is, where, and what it says: a reader gets them as a tooltip, and
a screen reader as the mark's name.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from llm_icl.reports.colours import GREY, REFERENCES, dash_of
from llm_icl.reports.document import Figure, Key

Spec = dict[str, Any]

COUNT = "d"
# The share of an axis between two names at the ends of lines.
_APART = 0.075
# From the end of a line to its name, in px.
LEADER = 10


class Point(NamedTuple):
    """A value with its interval, if any, and what it says in words."""

    x: float
    y: float
    said: str
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class Axis:
    """`kind` is "ordinal" for values of which each has its place; `domain` are the ends; the `form` of whole numbers is
    COUNT.
    """

    title: str
    kind: str = "quantitative"
    form: str = ""
    domain: tuple[float, float] | None = None
    scale: str = "linear"

    def channel(self, field: str) -> Spec:
        scale: Spec = {"type": self.scale, "zero": False} if self.kind == "quantitative" else {}
        if self.domain:
            scale |= {"domain": list(self.domain), "nice": False}
        axis: Spec = {"labelOverlap": "greedy"} | ({"format": self.form} if self.form else {})
        if self.kind == "ordinal":
            axis |= {"labelAngle": 0}
        if self.form == COUNT:
            # Of three numbers or fewer Vega halves the steps, whatever the least one is.
            axis |= {"tickMinStep": 1, "labelExpr": "datum.value % 1 ? '' : datum.label"}
        return {"field": field, "type": self.kind, "title": self.title, "scale": scale, "axis": axis}


def keys_of(names: Iterable[str], colours: Mapping[str, str], shown: Iterable[str] | None = None) -> tuple[Key, ...]:
    """A legend's entries; those that are not `shown` can be added by a reader."""
    visible = None if shown is None else set(shown)
    return tuple(
        Key(name, colours[name], dash_of(name, colours), visible is None or name in visible)
        for name in dict.fromkeys(names)
    )


def lines(
    name: str, title: str, series: Mapping[str, Sequence[Point]], x: Axis, y: Axis, colours: Mapping[str, str],
    says: str, *, shown: Iterable[str] | None = None, height: int = 260, width: int | None = None,
    joined: bool = True, band: bool = True, named: bool = True, more: Sequence[Spec] = (),
) -> Figure:  # fmt: skip
    """A line with points for each series. Intervals are bands, or bars without `band`; references have their names at
    the end of their lines, joined to them by a thin line, if `named`; without `joined` there are points only.
    """
    where = x.title if x.kind == "quantitative" else x.title.split(" (")[0]
    rows: list[Spec] = [
        {"series": key, "x": point.x, "y": point.y, "low": point.low, "high": point.high,
         "says": reading(key, f"{where}: {_short(point.x)}", point.said)}
        for key, points in series.items() for point in points
    ]  # fmt: skip
    # The bands of references would lie over everything.
    drawn = [row for row in rows if not (band and joined and row["series"] in REFERENCES)]
    ends = [row for row in drawn if math.isfinite(row["low"]) and math.isfinite(row["high"])]
    own = [row | {"low": None, "high": None} for row in rows]
    keys = keys_of(series, colours, shown)
    across, up, colour = x.channel("x"), y.channel("y"), _colour(keys)
    described = {"field": "series"}
    bounds = {"x": across, "y": up | {"field": "low"}, "y2": {"field": "high"}, "color": colour,
              "description": described}  # fmt: skip
    layers: list[Spec] = list(more)
    if ends:
        mark = {"type": "area", "clip": True, "opacity": 0.13} if band and joined else {"type": "rule", "opacity": 0.6}
        layers.append({"data": {"values": ends}, "mark": mark, "encoding": bounds})
    if joined:
        dashes = {"domain": [key.name for key in keys], "range": [list(key.dash) or [1, 0] for key in keys]}
        dash = {"field": "series", "type": "nominal", "scale": dashes, "legend": None}
        encoding = {"x": across, "y": up, "color": colour, "strokeDash": dash, "description": described}
        layers.append({"data": {"values": own}, "mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding})
    dense = joined and max((len(points) for points in series.values()), default=0) > 15
    points = {"type": "point", "filled": True, "size": 34, "opacity": 0 if dense else 1}
    encoding = {"x": across, "y": up, "color": colour, "description": {"field": "says"}}
    layers.append({"data": {"values": own}, "mark": points, "encoding": encoding})
    if named and joined and (labels := _names(series, y)):
        leader = {"type": "rule", "x2Offset": LEADER, "strokeWidth": 0.75, "color": GREY}
        ends_at = {"x": across, "x2": {"field": "x"}, "y": up | {"field": "end"}, "y2": {"field": "y"},
                   "description": described}  # fmt: skip
        mark = {"type": "text", "align": "left", "dx": LEADER + 2, "fontSize": 10, "color": GREY}
        encoding = {"x": across, "y": up, "text": described, "description": described}
        named_ends: Spec = {"data": {"values": labels}}
        layers.append(named_ends | {"mark": leader, "encoding": ends_at})
        layers.append(named_ends | {"mark": mark, "encoding": encoding})
    return Figure(name, title, _whole({"layer": layers}, height, width), says, keys=keys)


def dots(
    name: str, title: str, rows: Mapping[str, Mapping[str, Point]], x: Axis, colours: Mapping[str, str], says: str,
    zero: bool = False, groups: Sequence[str] = (),
) -> Figure:  # fmt: skip
    """A row for each name, in it a dot with its interval for each series (a point's x is its value). `groups` are the
    panels, one beside the other, if rows are by (group, name) in `rows` as "group\\nname".
    """
    found: list[Spec] = [
        {"row": row.rpartition("\n")[2], "group": row.rpartition("\n")[0], "series": key, "x": point.y,
         "low": _or_none(point.low), "high": _or_none(point.high),
         "says": reading(key, row.replace("\n", ", "), point.said)}
        for row, points in rows.items() for key, point in points.items()
    ]  # fmt: skip
    keys = keys_of((row["series"] for row in found), colours)
    order = list(dict.fromkeys(row["row"] for row in found))
    up = {"field": "row", "type": "nominal", "sort": order, "title": None, "axis": {"labelLimit": 220}}
    offset = {"field": "series", "type": "nominal", "sort": [key.name for key in keys]}
    shared = {"y": up, "yOffset": offset, "color": _colour(keys)}
    across = x.channel("x")
    bars = {"x": across | {"field": "low"}, "x2": {"field": "high"}, "description": {"field": "series"}}
    layers: list[Spec] = [
        {"mark": "rule", "encoding": shared | bars},
        {"mark": {"type": "point", "filled": True, "size": 60},
         "encoding": shared | {"x": across, "description": {"field": "says"}}},
    ]  # fmt: skip
    if zero:
        rule = {"mark": {"type": "rule", "strokeDash": [4, 4], "color": GREY}, "encoding": {"x": {"datum": 0}}}
        layers.insert(0, rule)
    height = max(16 * len(keys), 28) * len(order) + 12
    specification: Spec = {"data": {"values": found}, "layer": layers}
    if groups:
        panel = specification | {"width": 260, "height": height}
        del panel["data"]
        column = {"field": "group", "type": "nominal", "sort": list(groups), "title": None}
        specification = {"data": {"values": found}, "facet": {"column": column}, "spec": panel, "spacing": 12}
        whole = specification | {"background": "transparent"}
    else:
        whole = _whole(specification, height)
    return Figure(name, title, whole, says, keys=keys, single=True)


def heat_map(
    name: str, title: str, rows: Sequence[Mapping[str, Any]], x: Axis, y: Axis, says: str, *,
    domain: tuple[float, float], log: bool = False, text: bool = True, wide: float = 0.0,
) -> Figure:  # fmt: skip
    """A coloured cell for each of the rows: x, y, value, `text` in the cell, and `says` (a reading)."""
    xs, ys = (list(dict.fromkeys(row[key] for row in rows)) for key in ("x", "y"))
    xs = ys if set(xs) == set(ys) else xs  # what is compared with itself has no cell: its diagonal stays one
    words = any(isinstance(value, str) for value in xs)
    across = x.channel("x") | {"sort": xs if words else None, "type": "nominal", "scale": {}}
    across["axis"] = {"labelAngle": -45 if words else 0, "labelLimit": 180}
    up = y.channel("y") | {"sort": ys, "type": "nominal", "scale": {}, "axis": {"labelLimit": 200}}
    scale: Spec = {"scheme": "blues", "domain": list(domain), "clamp": True} | ({"type": "log"} if log else {})
    colour = {"field": "value", "type": "quantitative", "scale": scale, "legend": None}
    middle = math.sqrt(domain[0] * domain[1]) if log else (domain[0] + domain[1]) / 2
    cells: Spec = {"mark": "rect", "encoding": {"x": across, "y": up, "color": colour,
                                                "description": {"field": "says"}}}  # fmt: skip
    layers = [cells]
    if text:
        dark = {"condition": {"test": f"datum.value > {1.15 * middle}", "value": "#ffffff"}, "value": "#222222"}
        mark = {"type": "text", "fontSize": 10}
        layers.append({"mark": mark, "encoding": {"x": across, "y": up, "text": {"field": "text"}, "color": dark}})
    specification = {"data": {"values": list(rows)}, "layer": layers}
    whole = _whole(specification, 22 * len(ys) + 20, max(30 * len(xs), 160) if text else None)
    return Figure(name, title, whole, says, wide, single=True)


def reading(series: str, place: str, value: str) -> str:
    """What a mark says, on three lines."""
    return "\n".join(" ".join(part.split()) for part in (series, place, value))


def rule_at(value: float) -> Spec:
    """A dashed horizontal line."""
    return {"data": {"values": [{}]}, "mark": {"type": "rule", "strokeDash": [4, 4], "color": GREY},
            "encoding": {"y": {"datum": value}}}  # fmt: skip


def diagonal() -> Spec:
    """From (0, 0) to (1, 1), dotted, as no learner is."""
    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    encoding = {key: {"field": key, "type": "quantitative"} for key in ("x", "y")}
    return {"data": {"values": ends}, "mark": {"type": "line", "strokeDash": [1, 3], "color": GREY},
            "encoding": encoding}  # fmt: skip


def _colour(keys: Sequence[Key]) -> Spec:
    scale = {"domain": [key.name for key in keys], "range": [key.colour for key in keys]}
    return {"field": "series", "type": "nominal", "title": None, "scale": scale}


def _whole(specification: Spec, height: int, width: int | None = None) -> Spec:
    return specification | {"width": width or "container", "height": height, "background": "transparent"}


def _names(series: Mapping[str, Sequence[Point]], y: Axis) -> list[Spec]:
    """The names of references at the ends of their lines, moved apart where they would lie on one another: `end` is
    where the line ends, `y` where its name stands.
    """
    # From the bottom; of lines that end at one place the better learner's name stands above.
    ends = [(series[key][-1].y, series[key][-1].x, key) for key in reversed(REFERENCES) if series.get(key)]
    ends.sort(key=lambda end: end[0])
    low, high = y.domain or (ends[0][0], ends[-1][0]) if ends else (0.0, 1.0)
    apart = _APART * (high - low)
    heights: list[float] = []
    for value, _, _ in ends:
        heights.append(max(value, heights[-1] + apart) if heights else value)
    for i in reversed(range(len(heights))):
        heights[i] = min(heights[i], high if i == len(heights) - 1 else heights[i + 1] - apart)
    return [{"series": key, "x": x, "end": end, "y": at} for (end, x, key), at in zip(ends, heights, strict=True)]


def _short(value: float) -> str:
    return f"{value:,}" if value == int(value) else f"{value:g}"


def _or_none(value: float) -> float | None:
    return value if math.isfinite(value) else None
