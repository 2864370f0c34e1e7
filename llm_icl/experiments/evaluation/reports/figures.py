"""The figures of a report, as Vega-Lite specifications."""

from typing import Any

import numpy as np

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.scores import agreement, calibration, curve
from llm_icl.experiments.evaluation.reports.content import Content, Section
from llm_icl.reports.charts import COLOURS


def learning_curves(cell: Cell, names: list[str]) -> dict[str, Any]:
    """Accuracy by the number of examples; a band for the 95 % interval. A click in the legend picks learners out."""
    import altair as alt

    few = len(cell.networks) <= 4
    rows = [
        {"learner": name, "examples": int(position), "accuracy": at.value, "low": at.low, "high": at.high, "band": band}
        for name, answered in cell.learners.items()
        for band in (
            0.15 if answered.is_model or (answered.is_network and few) else 0.05,
        )  # many bands at once hide each other
        for position, at in zip(cell.positions, curve(answered.correct), strict=True)
        if at.known
    ]
    picked = alt.selection_point(fields=["learner"], bind="legend")
    hovered = alt.selection_point(fields=["examples"], nearest=True, on="pointerover", empty=False, clear="pointerout")
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("examples:Q", title="examples before the query", axis=alt.Axis(tickMinStep=1)),
        color=_colour(names, list(cell.learners)),
        opacity=alt.condition(picked, alt.value(1.0), alt.value(0.08)),
    )
    accuracy = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    line = base.mark_line(strokeWidth=2, interpolate="linear").encode(y=accuracy).add_params(picked)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title="accuracy"),
        y2="high:Q",
        opacity=alt.condition(picked, alt.Opacity("band:Q", scale=None, legend=None), alt.value(0.0)),
    )
    tooltip = [
        "learner:N",
        "examples:Q",
        *(alt.Tooltip(f"{key}:Q", format=".1%") for key in ("accuracy", "low", "high")),
    ]
    points = base.mark_point(filled=True, size=50).encode(y=accuracy, tooltip=tooltip).add_params(hovered)
    points = points.encode(opacity=alt.condition(hovered & picked, alt.value(1.0), alt.value(0.0)))
    return _finished(alt.layer(band, line, points), 300)


def training_curves(section: Section, names: list[str]) -> dict[str, Any] | None:
    """Accuracy on the last half of the points of held-out problems, by training step; dashed, what exact Bayes and
    nearest neighbour reach on the same problems. None where no network was tried on this task while it was trained.
    """
    import altair as alt

    task = section.cell.task
    rows = [
        {"learner": name, "step": line["step"], "accuracy": line["tasks"][task]["last_half"]}
        for name, about in section.networks.items()
        for line in about["metrics"]
        if task in line["tasks"]
    ]
    if not rows:
        return None
    last = max(row["step"] for row in rows)
    ceilings = next(about["ceilings"][task] for about in section.networks.values() if task in about["ceilings"])
    lines = [
        {"learner": name, "step": step, "accuracy": reached["last_half"]}
        for name, reached in ceilings.items()
        if name in names
        for step in (0, last)
    ]
    picked = alt.selection_point(fields=["learner"], bind="legend")
    shown = list(dict.fromkeys(row["learner"] for row in (*rows, *lines)))
    scale = alt.Scale(domain=[min(0.5, *(row["accuracy"] for row in rows)), 1])
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("step:Q", title="training steps"),
        y=alt.Y("accuracy:Q", scale=scale, title="accuracy, last half", axis=alt.Axis(format="%")),
        color=_colour(names, shown),
        opacity=alt.condition(picked, alt.value(1.0), alt.value(0.08)),
        tooltip=["learner:N", "step:Q", alt.Tooltip("accuracy:Q", format=".1%")],
    )
    reached = base.properties(data=alt.InlineData(values=lines)).mark_line(strokeDash=[4, 4])
    return _finished(alt.layer(reached, base.mark_line(point=True).add_params(picked)), 300)


def accuracy_by_n(sections: list[Section], names: list[str]) -> dict[str, Any]:
    """The mean accuracy against n for one task, with 95 % intervals."""
    import altair as alt

    rows = [
        {
            "learner": s.learner,
            "n": section.cell.n,
            "accuracy": s.average.value,
            "low": s.average.low,
            "high": s.average.high,
        }
        for section in sections
        for s in section.scores
    ]
    picked = alt.selection_point(fields=["learner"], bind="legend")
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("n:O", title="n (bits of an input)", axis=alt.Axis(labelAngle=0)),
        color=_colour(names, list(dict.fromkeys(s.learner for section in sections for s in section.scores))),
        opacity=alt.condition(picked, alt.value(1.0), alt.value(0.08)),
    )
    scale = alt.Scale(domain=[0, 1])
    tooltip = ["learner:N", "n:O", *(alt.Tooltip(f"{key}:Q", format=".1%") for key in ("accuracy", "low", "high"))]
    line = base.mark_line(point=True).encode(
        y=alt.Y("accuracy:Q", scale=scale, title="mean accuracy", axis=alt.Axis(format="%")), tooltip=tooltip
    )
    bar = base.mark_rule().encode(y=alt.Y("low:Q", title="mean accuracy", scale=scale), y2="high:Q")
    return _finished(alt.layer(bar, line.add_params(picked)), 260)


def agreement_map(cell: Cell) -> dict[str, Any]:
    """How often two learners give the same answer."""
    import altair as alt

    names, shares = agreement(cell)
    rows = [
        {"learner": a, "other": b, "agreement": None if np.isnan(shares[i, j]) else float(shares[i, j])}
        for i, a in enumerate(names)
        for j, b in enumerate(names)
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("other:N", sort=names, title=None, axis=alt.Axis(labelAngle=-90, labelLimit=160)),
        y=alt.Y("learner:N", sort=names, title=None, axis=alt.Axis(labelLimit=160)),
        tooltip=["learner:N", "other:N", alt.Tooltip("agreement:Q", format=".1%")],
    )
    scale = alt.Scale(domain=[0.5, 1], scheme="blues", clamp=True)
    cells = base.mark_rect().encode(color=alt.Color("agreement:Q", scale=scale, title=None, legend=None))
    text = base.mark_text(fontSize=10).encode(
        text=alt.Text("agreement:Q", format=".0%"),
        color=alt.condition("datum.agreement > 0.8", alt.value("white"), alt.value("#222")),
    )
    return _finished(alt.layer(cells, text), 26 * len(names) + 20)


def calibration_plot(cell: Cell, names: list[str]) -> dict[str, Any]:
    """Observed share of ones against predicted probability; the diagonal is perfect calibration."""
    import altair as alt

    with_probabilities = [name for name, answered in cell.learners.items() if answered.has_probabilities]
    rows = [
        {"learner": name, "predicted": b.predicted, "observed": b.observed, "count": b.count}
        for name in with_probabilities
        for b in calibration(cell.learners[name], cell.label)
    ]
    scale = alt.Scale(domain=[0, 1])
    picked = alt.selection_point(fields=["learner"], bind="legend")
    line = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("predicted:Q", scale=scale, title="predicted P(1)"),
            y=alt.Y("observed:Q", scale=scale, title="share of ones"),
            color=_colour(names, with_probabilities),
            opacity=alt.condition(picked, alt.value(1.0), alt.value(0.08)),
            tooltip=[
                "learner:N",
                alt.Tooltip("predicted:Q", format=".3f"),
                alt.Tooltip("observed:Q", format=".3f"),
                "count:Q",
            ],
        )
        .add_params(picked)
    )
    ends = alt.InlineData(values=[{"predicted": 0, "observed": 0}, {"predicted": 1, "observed": 1}])
    diagonal = alt.Chart(ends).mark_line(strokeDash=[4, 4], color="#888").encode(x="predicted:Q", y="observed:Q")
    return _finished(alt.layer(diagonal, line), 280)


def all_figures(content: Content) -> dict[str, dict[str, Any]]:
    """Every figure of the report by its identifier in the page."""
    figures = {}
    names = content.learners
    for index, section in enumerate(content.sections):
        figures[f"curves-{index}"] = learning_curves(section.cell, names)
        if training := training_curves(section, names):
            figures[f"training-{index}"] = training
        figures[f"agreement-{index}"] = agreement_map(section.cell)
        if any(answered.has_probabilities for answered in section.cell.learners.values()):
            figures[f"calibration-{index}"] = calibration_plot(section.cell, names)
    for task in dict.fromkeys(section.cell.task for section in content.sections):
        of_task = [section for section in content.sections if section.cell.task == task]
        if len(of_task) > 1:
            index = content.sections.index(of_task[0])
            figures[f"by-n-{index}"] = accuracy_by_n(of_task, names)
    return figures


def _colour(names: list[str], shown: list[str]) -> Any:
    """One colour for each learner in all figures; the legend lists those of this one."""
    import altair as alt

    used = [COLOURS[names.index(name) % len(COLOURS)] for name in shown]
    legend = alt.Legend(
        title=None, orient="bottom", labelLimit=260, symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1
    )
    return alt.Color("learner:N", scale=alt.Scale(domain=shown, range=used), legend=legend)


def _finished(chart: Any, height: int) -> dict[str, Any]:
    specification: dict[str, Any] = chart.properties(
        width="container", height=height, background="transparent"
    ).to_dict()
    return specification
