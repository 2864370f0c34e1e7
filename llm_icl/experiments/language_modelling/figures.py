"""The figures of a comparison of attentions in language modelling."""

import math
from collections.abc import Mapping, Sequence

import polars as pl

from llm_icl.analysis.intervals import Estimate
from llm_icl.config.specs import counted
from llm_icl.reports.charts import coloured, colours_of, figure
from llm_icl.reports.document import Figure


def changes_figure(changes: Mapping[tuple[str, int], Estimate], first: str) -> Figure:
    """The relative change in perplexity of each attention at each length, with its interval over seeds."""
    import altair as alt

    rows = []
    for (name, length), change in changes.items():
        row = {"attention": name, "tokens": counted(length, "token"), "change": change.value}
        rows.append(row | ({"low": change.low, "high": change.high} if math.isfinite(change.low) else {}))
    attentions = list(dict.fromkeys(name for name, _ in changes))
    tokens = list(dict.fromkeys(counted(length, "token") for _, length in changes))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("attention:N", sort=attentions, title=None, axis=alt.Axis(labelLimit=220)),
        yOffset=alt.YOffset("tokens:N", sort=tokens),
        color=coloured("tokens", colours_of(tokens), tokens),
    )
    value = alt.X("change:Q", title=f"change in perplexity vs. {first}", axis=alt.Axis(format="+.1%"))
    points = base.mark_point(filled=True, size=60).encode(
        x=value, tooltip=["attention:N", "tokens:N", alt.Tooltip("change:Q", format="+.2%")]
    )
    bars = base.mark_rule().encode(x=alt.X("low:Q"), x2="high:Q")
    none = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color="#888888").encode(
        x="zero:Q"
    )  # fmt: skip
    longest = {name: change for (name, _), change in changes.items()}
    listed = ", ".join(f"{name} {100 * change.value:+.2f} %" for name, change in longest.items())
    says = f"Change in perplexity vs. {first}; at {tokens[-1]}: {listed}."
    height = 40 * (len(attentions) + 1)
    return figure("changes", f"Change in perplexity vs. {first}", none + bars + points, height, says)


def training_figure(curves: pl.DataFrame, attentions: Sequence[str]) -> Figure:
    """The loss on the validation tokens (the first held-out tokens) by step, averaged over seeds."""
    import altair as alt

    means = curves.group_by("attention", "step").agg(pl.col("loss").mean()).sort("attention", "step")
    chart = (
        alt.Chart(alt.InlineData(values=means.to_dicts()))
        .mark_line(point=True)
        .encode(
            x=alt.X("step:Q", title="training steps"),
            y=alt.Y("loss:Q", title="validation loss (nats per token)", scale=alt.Scale(zero=False)),
            color=coloured("attention", colours_of(attentions), attentions),
            tooltip=["attention:N", "step:Q", alt.Tooltip("loss:Q", format=".3f")],
        )
    )
    last = {row["attention"]: row["loss"] for row in means.to_dicts()}
    listed = ", ".join(f"{name} {loss:.3f}" for name, loss in last.items())
    says = f"Validation loss by training step, on the first held-out tokens; at the end, in nats: {listed}."
    return figure("training", "Loss over training", chart, 300, says)
