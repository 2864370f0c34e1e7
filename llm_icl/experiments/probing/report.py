"""The report of a probe: a heat map over layers and heads for each model and score, and the best heads."""

from typing import Any

import polars as pl
from tabulate import tabulate

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.estimates import number
from llm_icl.reports.html import page

HEADERS = ("model", "score", "layer", "head", "value", "uniform attention")
# From here on a head counts as one that does it (Bhattamishra et al. 2024).
_STRONG = 0.5
_BEST = 5
_NOTES = (
    "Induction: the attention from a query to the labels of the same point in earlier copies of the sequence, summed "
    "over the copies and averaged over queries.",
    "Nearest neighbour: the attention from a query in the second half to the labels of the nearest earlier points (by "
    "Hamming distance, all that are equally near in sum).",
    "A head that looks nowhere else scores 1. Uniform attention, to all tokens up to the query alike, is the null.",
    "Intervals are 95 %, with the problem as the unit. Layers and heads count from 0.",
)


def best_heads_table(heads: pl.DataFrame, style: str) -> str:
    return tabulate(_best(heads), HEADERS, tablefmt=style, disable_numparse=True)


def strong_heads(heads: pl.DataFrame) -> list[str]:
    """One line for each model and score."""
    return [f"{model}: {_line(some, score)}" for model, score, some in _groups(heads)]


def probe_html(heads: pl.DataFrame, record: dict[str, Any]) -> str:
    groups = _groups(heads)
    return page(
        "probe.html.jinja",
        {f"heads-{i}": _heat_map(some) for i, (_, _, some) in enumerate(groups)},
        maps=[(model, score, _line(some, score)) for model, score, some in groups],
        setting=_setting(record),
        headers=HEADERS,
        rows=_best(heads),
        notes=_NOTES,
        record=record,
    )


def probe_markdown(heads: pl.DataFrame, record: dict[str, Any]) -> str:
    lines = ["# What the attention heads do", "", _setting(record), ""]
    lines += [f"- {line}" for line in strong_heads(heads)]
    lines += ["", best_heads_table(heads, "github"), "", *(f"- {note}" for note in _NOTES), ""]
    return "\n".join([*lines, f"    {record['command']}", ""])


def _groups(heads: pl.DataFrame) -> list[tuple[str, str, pl.DataFrame]]:
    parts = heads.group_by(["model", "score"], maintain_order=True)
    return [(str(model), str(score), some) for (model, score), some in parts]


def _best(heads: pl.DataFrame) -> list[list[str]]:
    rows = []
    for _, _, some in _groups(heads):
        for row in some.sort("value", descending=True).head(_BEST).iter_rows(named=True):
            value = number(Estimate(row["value"], row["low"], row["high"]))
            place = [str(row["layer"]), str(row["head"])]
            rows.append([row["model"], row["score"], *place, value, f"{row['uniform']:.3f}"])
    return rows


def _line(some: pl.DataFrame, score: str) -> str:
    strong = some.filter(pl.col("value") >= _STRONG)
    best = some.sort("value", descending=True).row(0, named=True)
    return (
        f"Heads with {'an' if score[0] in 'aeiou' else 'a'} {score} score of at least {_STRONG}: {len(strong)} of "
        f"{len(some)}; the greatest is {best['value']:.3f} (layer {best['layer']}, head {best['head']}), and uniform "
        f"attention has {best['uniform']:.3f}."
    )


def _setting(record: dict[str, Any]) -> str:
    request = record["request"]
    task = request["tasks"][0]["name"]
    return (
        f"{request['problems']} problems of {task}, n = {request['n'][0]}, {request['points']} points; for induction, "
        f"{request['points'] // request['copies']} points {request['copies']} times."
    )


def _heat_map(some: pl.DataFrame) -> dict[str, Any]:
    import altair as alt

    heads = some["head"].n_unique()
    base = alt.Chart(alt.InlineData(values=some.drop("model", "score").to_dicts())).encode(
        x=alt.X("head:O", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("layer:O"),
        tooltip=["layer:O", "head:O", *(alt.Tooltip(f"{key}:Q", format=".3f") for key in ("value", "low", "high"))],
    )
    scale = alt.Scale(domain=[0, 1], scheme="blues")
    cells = base.mark_rect().encode(color=alt.Color("value:Q", scale=scale, title=None))
    text = base.mark_text(fontSize=10).encode(
        text=alt.Text("value:Q", format=".2f"),
        color=alt.condition("datum.value > 0.5", alt.value("white"), alt.value("#222")),
    )
    drawn = alt.layer(cells, text) if heads <= 16 else cells
    specification: dict[str, Any] = drawn.properties(
        width="container", height=22 * some["layer"].n_unique() + 20, background="transparent"
    ).to_dict()
    return specification
