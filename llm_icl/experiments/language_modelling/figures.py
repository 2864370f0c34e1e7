"""The figures of a comparison of attentions in language modelling."""

from collections.abc import Mapping, Sequence

import polars as pl

from llm_icl.analysis.intervals import Estimate
from llm_icl.config.specs import counted
from llm_icl.reports.charts import COUNT, Axis, Point, dots, lines
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Figure
from llm_icl.reports.values import written


def changes_figure(changes: Mapping[tuple[str, int], Estimate], first: str) -> Figure:
    """The relative change in perplexity of each attention at each length, with its interval over seeds."""
    rows: dict[str, dict[str, Point]] = {}
    for (name, length), change in changes.items():
        said = f"{written(change, 'change')} %"
        rows.setdefault(name, {})[counted(length, "token")] = Point(0, change.value, said, change.low, change.high)
    tokens = list(dict.fromkeys(counted(length, "token") for _, length in changes))
    longest = {name: change for (name, _), change in changes.items()}
    listed = ", ".join(f"{name} {100 * change.value:+.2f} %" for name, change in longest.items())
    says = f"Change in perplexity vs. {first}; at {tokens[-1]}: {listed}."
    title = f"Change in perplexity vs. {first}"
    return dots("changes", title, rows, Axis(title.lower(), form="+.1%"), colours_of(tokens), says, zero=True)


def training_figure(curves: pl.DataFrame, attentions: Sequence[str]) -> Figure:
    """The loss on the validation tokens (the first held-out tokens) by step, averaged over seeds."""
    means = curves.group_by("attention", "step").agg(pl.col("loss").mean()).sort("attention", "step")
    series = {
        name: [
            Point(step, loss, f"{loss:.3f} nats per token")
            for step, loss in means.filter(pl.col("attention") == name).select("step", "loss").iter_rows()
        ]
        for name in attentions
    }
    listed = ", ".join(f"{name} {points[-1].y:.3f}" for name, points in series.items() if points)
    says = f"Validation loss by training step, on the first held-out tokens; at the end, in nats: {listed}."
    x, y = Axis("training steps", form=COUNT), Axis("validation loss (nats per token)")
    return lines("training", "Loss over training", series, x, y, colours_of(attentions), says, height=300)
