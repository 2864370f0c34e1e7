"""Tables and figures of trained networks. `about` is a network's training record."""

from collections.abc import Iterable, Mapping
from typing import Any

from llm_icl.reports.charts import COUNT, Axis, Point, lines
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
    series = {
        name: [
            _point(line["step"], line["tasks"][task]["last_half"]) for line in about["metrics"] if task in line["tasks"]
        ]
        for name, about in networks.items()
    }
    series = {name: points for name, points in series.items() if points}
    if not series:
        return None
    reached = [point.y for points in series.values() for point in points]
    last = max(int(point.x) for points in series.values() for point in points)
    ceilings = next(about["ceilings"][task] for about in networks.values() if task in about["ceilings"])
    for name in references:
        if name in ceilings:
            series[name] = [_point(step, ceilings[name]["last_half"]) for step in dict.fromkeys((0, last))]
    ends = ", ".join(f"{name} {points[-1].said}" for name, points in series.items())
    says = (
        f"Accuracy on the last half of the points of held-out problems of {task} by training step; at the end: {ends}."
    )
    y = Axis("accuracy, last half", form="%", domain=(min(0.5, *reached, 1.0), 1))
    title = f"Accuracy over training ({task})"
    return lines("training", title, series, Axis("training steps", form=COUNT), y, colours, says)


def _point(step: int, accuracy: float) -> Point:
    return Point(step, accuracy, f"{100 * accuracy:.1f} %")


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
        # A step that is kept may be none that was evaluated.
        "last_half": next((line["last_half"] for line in about["metrics"] if line["step"] == about["steps"]), None),
    }
