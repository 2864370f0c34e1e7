"""The figures of evaluations."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.scores import agreement, calibration, curve
from llm_icl.experiments.evaluation.reports.content import CellContent
from llm_icl.reports.charts import coloured, figure, picking
from llm_icl.reports.document import Figure
from llm_icl.reports.values import written

# With more networks than this, their bands overlap too much.
_FEW = 4


def learning_curves(content: CellContent, colours: Mapping[str, str]) -> Figure:
    """Accuracy by the number of in-context examples, with 95 % intervals as bands. Clicking the legend selects
    learners; hovering shows all learners at the nearest number of examples.
    """
    import altair as alt

    cell = content.cell
    few = len(cell.networks) <= _FEW
    rows = []
    at: dict[int, dict[str, int | str]] = {int(position): {"examples": int(position)} for position in cell.positions}
    names = [score.learner for score in content.scores]
    for i, name in enumerate(names):
        answered = cell.learners[name]
        band = 0.15 if answered.is_model or (answered.is_network and few) else 0.05
        for position, accuracy in zip(at, curve(answered.correct), strict=True):
            if accuracy.known:
                numbers = {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high}
                rows.append({"learner": name, "examples": position, "band": band} | numbers)
                at[position] |= {f"learner{i}": f"{written(accuracy, 'share')} %"}
    picked, opacity = picking("learner")
    near = alt.selection_point(fields=["examples"], on="pointerover", empty=False, clear="pointerout")
    positions = [float(position) for position in cell.positions]
    ends = [positions[0], positions[-1]] if len(positions) > 1 else [positions[0] - 0.5, positions[0] + 0.5]
    scale = alt.Scale(domain=ends, nice=False)
    x = alt.X("examples:Q", scale=scale, title="in-context examples", axis=alt.Axis(tickMinStep=1))
    y = alt.Y("accuracy:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format="%"))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=x, color=coloured("learner", colours, list(cell.learners)), opacity=opacity
    )
    line = base.mark_line(strokeWidth=2, interpolate="linear").encode(y=y).add_params(picked)
    band = base.mark_area(clip=True).encode(
        y=alt.Y("low:Q", title="accuracy"),
        y2="high:Q",
        opacity=alt.condition(picked, alt.Opacity("band:Q", scale=None, legend=None), alt.value(0.0)),
    )
    points = base.mark_point(filled=True, size=50).encode(
        y=y, opacity=alt.condition(near & picked, alt.value(1.0), alt.value(0.0))
    )
    # Each number of examples has a strip of the figure. (Selecting the nearest mark breaks tooltips.) Learners' names
    # may contain characters that Vega parses as paths: fields are numbered, and names are titles.
    tooltip = ["examples:Q", *(alt.Tooltip(f"learner{i}:N", title=name) for i, name in enumerate(names))]
    middles = [(a + b) / 2 for a, b in pairwise(positions)]
    strips = [
        {"left": left, "right": right, **row}
        for left, right, row in zip([ends[0], *middles], [*middles, ends[1]], at.values(), strict=True)
    ]
    strip = (
        alt.Chart(alt.InlineData(values=strips))
        .mark_rect(color="#888888")
        .encode(
            x=alt.X("left:Q", scale=scale), x2="right:Q",
            opacity=alt.condition(near, alt.value(0.08), alt.value(0.0)), tooltip=tooltip,
        )
        .add_params(near)
    )  # fmt: skip
    last = ", ".join(f"{score.learner} {100 * score.last.value:.1f} %" for score in content.scores if score.last.known)
    says = f"Accuracy on {cell.title} by number of in-context examples; at {max(at)}: {last or 'no answer'}."
    return figure("learning-curves", "Learning curves", alt.layer(band, line, points, strip), 300, says)


def accuracy_by_n(contents: Sequence[CellContent], colours: Mapping[str, str]) -> Figure:
    """The mean accuracy against n for one task, with 95 % intervals."""
    import altair as alt

    rows = [
        {
            "learner": score.learner,
            "n": content.cell.n,
            "accuracy": score.average.value,
            "low": score.average.low,
            "high": score.average.high,
        }
        for content in contents
        for score in content.scores
        if score.average.known
    ]
    picked, opacity = picking("learner")
    shown = list(dict.fromkeys(score.learner for content in contents for score in content.scores))
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("n:O", title="n (input bits)", axis=alt.Axis(labelAngle=0)),
        color=coloured("learner", colours, shown),
        opacity=opacity,
    )
    scale = alt.Scale(domain=[0, 1])
    tooltip = ["learner:N", "n:O", *(alt.Tooltip(f"{key}:Q", format=".1%") for key in ("accuracy", "low", "high"))]
    line = base.mark_line(point=True).encode(
        y=alt.Y("accuracy:Q", scale=scale, title="mean accuracy", axis=alt.Axis(format="%")), tooltip=tooltip
    )
    bar = base.mark_rule().encode(y=alt.Y("low:Q", title="mean accuracy", scale=scale), y2="high:Q")
    task, ns = contents[0].cell.task, [content.cell.n for content in contents]
    says = f"Mean accuracy on {task} of {len(shown)} learners at n = {', '.join(map(str, ns))}."
    return figure("by-n", f"Accuracy against n ({task})", alt.layer(bar, line.add_params(picked)), 260, says)


def agreement_map(cell: Cell) -> Figure:
    """The agreement of each pair of learners."""
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
    says = f"Agreement of each pair of {len(names)} learners on {cell.title}; it tells no algorithm apart."
    chart = alt.layer(cells, text)
    return figure("agreement", "Agreement", chart, 26 * len(names) + 20, says, wide=12 + 2.2 * len(names))


def calibration_plot(cell: Cell, colours: Mapping[str, str]) -> Figure:
    """A reliability diagram: observed frequency of label 1 by predicted probability, with the diagonal."""
    import altair as alt

    with_probabilities = [name for name, answered in cell.learners.items() if answered.has_probabilities]
    rows = [
        {"learner": name, "predicted": b.predicted, "observed": b.observed, "count": b.count}
        for name in with_probabilities
        for b in calibration(cell.learners[name], cell.label)
    ]
    scale = alt.Scale(domain=[0, 1])
    picked, opacity = picking("learner")
    line = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(point=True)
        .encode(
            x=alt.X("predicted:Q", scale=scale, title="predicted P(1)"),
            y=alt.Y("observed:Q", scale=scale, title="observed frequency of 1"),
            color=coloured("learner", colours, with_probabilities),
            opacity=opacity,
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
    says = f"Observed frequency of label 1 on {cell.title} by predicted P(1), for {len(with_probabilities)} learners."
    return figure("calibration", "Calibration", alt.layer(diagonal, line), 280, says)
