"""Tables and figures of trained networks. `about` is a network's training record."""

from collections.abc import Iterable, Mapping
from typing import Any

from llm_icl.reports.charts import coloured, figure, picking
from llm_icl.reports.document import Column, Figure, Row, Table

_COLUMNS = (
    Column("network", "network"),
    Column("trained on", "trained_on"),
    Column("parameters", "parameters", "count"),
    Column("frozen", "frozen", "count"),
    Column("steps", "steps", "count"),
    Column("tokens", "tokens", "power"),
    Column("FLOPs", "flops", "power"),
    Column("minutes", "minutes", "tenths"),
    Column("last half of the points", "last_half", "share"),
)
FLOPS_NOTE = (
    "Training FLOPs: matrix products, convolutions, Fourier transforms, and elementwise products and sums of all "
    "forward and backward passes, excluding the optimiser."
)


def networks_table(networks: Mapping[str, dict[str, Any]]) -> Table:
    """The networks by name; the last half is on held-out problems of their own tasks."""
    return Table("networks", "Training cost", _COLUMNS, tuple(_row(*entry) for entry in networks.items()))


def training_curves(
    networks: Mapping[str, dict[str, Any]], task: str, references: Iterable[str], colours: Mapping[str, str]
) -> Figure | None:
    """Accuracy on the last half of the points of held-out problems, by training step; dashed: the references
    on the same problems. None if no network was validated on this task during training.
    """
    import altair as alt

    rows = [
        {"learner": name, "step": line["step"], "accuracy": line["tasks"][task]["last_half"]}
        for name, about in networks.items()
        for line in about["metrics"]
        if task in line["tasks"]
    ]
    if not rows:
        return None
    last = max(row["step"] for row in rows)
    ceilings = next(about["ceilings"][task] for about in networks.values() if task in about["ceilings"])
    lines = [
        {"learner": name, "step": step, "accuracy": ceilings[name]["last_half"]}
        for name in references
        if name in ceilings
        for step in (0, last)
    ]
    shown = list(dict.fromkeys(row["learner"] for row in (*rows, *lines)))
    picked, opacity = picking("learner")
    scale = alt.Scale(domain=[min(0.5, *(row["accuracy"] for row in rows)), 1])
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("step:Q", title="training steps"),
        y=alt.Y("accuracy:Q", scale=scale, title="accuracy, last half", axis=alt.Axis(format="%")),
        color=coloured("learner", colours, shown),
        opacity=opacity,
        tooltip=["learner:N", "step:Q", alt.Tooltip("accuracy:Q", format=".1%")],
    )
    reached = base.properties(data=alt.InlineData(values=lines)).mark_line(strokeDash=[4, 4])
    chart = alt.layer(reached, base.mark_line(point=True).add_params(picked))
    ends = ", ".join(
        f"{name} {100 * found[-1]:.1f} %"
        for name in shown
        if (found := [row["accuracy"] for row in (*rows, *lines) if row["learner"] == name])
    )
    says = (
        f"Accuracy on the last half of the points of held-out problems of {task} by training step; at the end: {ends}."
    )
    return figure("training", f"Accuracy over training ({task})", chart, 300, says)


def _row(name: str, about: dict[str, Any]) -> Row:
    return {
        "network": name,
        "trained_on": " + ".join(about["trained_on"]),
        "parameters": about["parameters"],
        "frozen": about["frozen"],
        "steps": about["steps"],
        "tokens": about["tokens"],
        "flops": about["flops"],
        "minutes": None if about["wall_seconds"] is None else about["wall_seconds"] / 60,
        "last_half": about["metrics"][-1]["last_half"] if about["metrics"] else None,
    }
