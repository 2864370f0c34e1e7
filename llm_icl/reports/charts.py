"""Common parts of figures: colours, legends, conversion of charts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from llm_icl.reports.document import Figure

# Okabe & Ito's colours (safe for colour-blind readers, in light and dark themes), then others of the same kind.
COLOURS = (
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6BB1", "#999999",
    "#A6761D", "#66A61E", "#E7298A", "#1B9E77", "#7570B3", "#B3DE69", "#FB8072", "#80B1D3", "#BC80BD", "#8DD3C7",
    "#B15928", "#525252", "#F781BF", "#CAB2D6",
)  # fmt: skip
# Common references have the same colours in all reports.
_REFERENCES = {
    "bayes": "#0072B2", "bayes-labels": "#56B4E9", "nearest-neighbour": "#E69F00", "best-constant": "#999999",
    "averaging": "#CC79A7",
}  # fmt: skip


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, derived from the name: the same in all reports. On a collision, the alphabetically later
    name gets the next free colour.
    """
    chosen = {name: _REFERENCES[name] for name in sorted(set(names)) if name in _REFERENCES}
    for name in sorted(set(names) - set(chosen)):
        free = [colour for colour in COLOURS if colour not in (*_REFERENCES.values(), *chosen.values())]
        place = crc32(name.encode()) % len(COLOURS)
        turned = COLOURS[place:] + COLOURS[:place]
        chosen[name] = next((colour for colour in turned if colour in free), turned[0])
    return chosen


def coloured(field: str, colours: Mapping[str, str], shown: Sequence[str]) -> Any:
    """Colour by a field, with a legend of the learners in this figure."""
    import altair as alt

    legend = alt.Legend(
        title=None, orient="bottom", labelLimit=260, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1
    )
    scale = alt.Scale(domain=list(shown), range=[colours[name] for name in shown])
    return alt.Color(f"{field}:N", scale=scale, legend=legend)


def picking(field: str) -> tuple[Any, Any]:
    """A selection by clicks in the legend, and the opacity that fades all others."""
    import altair as alt

    picked = alt.selection_point(fields=[field], bind="legend")
    return picked, alt.condition(picked, alt.value(1.0), alt.value(0.08))


def finished(chart: Any, height: int) -> dict[str, Any]:
    """The specification of a chart with the width of its container."""
    specification: dict[str, Any] = chart.properties(
        width="container", height=height, background="transparent"
    ).to_dict()
    return specification


def figure(name: str, title: str, chart: Any, height: int, says: str, wide: float = 0.0) -> Figure:
    return Figure(name, title, finished(chart, height), says, wide)
