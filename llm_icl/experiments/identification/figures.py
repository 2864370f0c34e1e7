"""The figures of identifications."""

import math
from collections.abc import Mapping, Sequence

from llm_icl.config.files import file_name
from llm_icl.experiments.identification.findings import Cell, Found
from llm_icl.reports.charts import coloured, figure, picking
from llm_icl.reports.document import Figure

# Candidates whose scores are drawn for each problem.
LEADING = 3
# More problems than this are shown as this many.
_MOST_NEEDED = 1000


def identifiability_map(cell: Cell) -> Figure:
    """Problems needed to tell each candidate (row: the truth) from each other one."""
    import altair as alt

    names = list(cell.identifiability.names)
    rows = [
        {
            "truth": truth,
            "other": other,
            "shown": min(max(math.ceil(needed), 1), _MOST_NEEDED) if math.isfinite(needed) else _MOST_NEEDED,
            "needed": f"{max(math.ceil(needed), 1):,}" if math.isfinite(needed) else "never",
            "nats": cell.identifiability.nats[i][j],
        }
        for i, truth in enumerate(names)
        for j, (other, needed) in enumerate(zip(names, cell.identifiability.needed[i], strict=True))
        if i != j
    ]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("other:N", sort=names, title="told from", axis=alt.Axis(labelAngle=-45, labelLimit=200)),
        y=alt.Y("truth:N", sort=names, title="if this is the truth", axis=alt.Axis(labelLimit=220)),
        tooltip=[
            alt.Tooltip("truth:N"),
            alt.Tooltip("other:N", title="told from"),
            alt.Tooltip("needed:N", title="problems needed"),
            alt.Tooltip("nats:Q", title="nats per problem", format=".2f"),
        ],
    )
    scale = alt.Scale(type="log", scheme="blues", domain=[1, _MOST_NEEDED])
    cells = base.mark_rect().encode(color=alt.Color("shown:Q", scale=scale, title="problems needed"))
    text = base.mark_text(fontSize=9).encode(
        text="needed:N", color=alt.condition("datum.shown > 60", alt.value("white"), alt.value("#222"))
    )
    apart = [row for row in rows if row["needed"] != "never"]
    hardest = max(apart, key=lambda row: int(str(row["needed"]).replace(",", "")), default=None)
    says = f"Problems needed to tell {len(names)} candidates apart"
    if hardest:
        says += f"; most, {hardest['needed']}, to tell {hardest['truth']} from {hardest['other']}"
    title = "Problems needed to tell candidates apart (95 % power)"
    return figure("identifiability", title, alt.layer(cells, text), 22 * len(names) + 20, f"{says}.", wide=46)


def weights_by_examples(found: Found, colours: Mapping[str, str]) -> Figure:
    """The weights of the components of a subject's mixtures, with 95 % intervals, by number of examples."""
    import altair as alt

    one = found.identification
    assert one is not None
    mixed = next((mixed for mixed in one.mixtures if mixed.over == one.verdict), one.mixtures[0])
    rows = [
        {"candidate": name, "examples": m, "weight": weight.value, "low": weight.low, "high": weight.high}
        for m, weights in zip(one.sizes, mixed.by_size, strict=True)
        for name, weight in zip(mixed.names, weights, strict=False)
        if math.isfinite(weight.value)
    ]
    picked, opacity = picking("candidate")
    scale = alt.Scale(domain=[0, 1])
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("examples:O", title="in-context examples", axis=alt.Axis(labelAngle=0)),
        xOffset="candidate:N",
        color=coloured("candidate", colours, list(mixed.names)),
        opacity=opacity,
    )
    tooltip = [
        "candidate:N",
        "examples:O",
        *(alt.Tooltip(f"{key}:Q", format=".1%") for key in ("weight", "low", "high")),
    ]
    points = base.mark_point(filled=True, size=70).encode(
        y=alt.Y("weight:Q", scale=scale, title="weight", axis=alt.Axis(format="%")), tooltip=tooltip
    )
    bars = base.mark_rule().encode(y=alt.Y("low:Q", scale=scale, title="weight"), y2="high:Q")
    says = f"Weights of {', '.join(mixed.names)} in the best mixture over {mixed.over} for {found.subject}."
    title = f"{found.subject}: weights of a mixture over {mixed.over}"
    name = f"weights-{file_name(found.subject)}"
    return figure(name, title, alt.layer(bars, points.add_params(picked)), 220, says)


def scores_by_context(found: Found, colours: Mapping[str, str]) -> Figure:
    """The held-out score of each problem under the leading candidates, above that of the best constant."""
    import altair as alt

    one = found.identification
    assert one is not None
    leading = one.candidates[:LEADING]
    order = sorted(range(len(leading[0].by_problem)), key=lambda i: -leading[0].by_problem[i])
    rows = [
        {"candidate": each.name, "problem": place, "score": each.by_problem[i]}
        for each in leading
        for place, i in enumerate(order, 1)
        if math.isfinite(each.by_problem[i])
    ]
    picked, opacity = picking("candidate")
    shown = [each.name for each in leading]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        x=alt.X("problem:Q", title=f"problems, in the order of {shown[0]}"),
        y=alt.Y("score:Q", title="nats above the best constant"),
        color=coloured("candidate", colours, shown),
        opacity=opacity,
        tooltip=["candidate:N", "problem:Q", alt.Tooltip("score:Q", format=".2f")],
    )
    drawn = base.mark_point(size=35, strokeWidth=2).add_params(picked)
    rule = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4]).encode(y="zero:Q")
    averages = ", ".join(f"{each.name} {sum(each.by_problem) / len(each.by_problem):.2f}" for each in leading)
    says = f"The score of each problem for {found.subject}, above the best constant; on average: {averages} nats."
    name = f"scores-{file_name(found.subject)}"
    return figure(name, f"{found.subject}: score of each problem", alt.layer(rule, drawn), 200, says)


def shares_and_flexible(known: Sequence[Found]) -> Figure:
    """The explained share of each subject, what it would be if nothing were left, and with the flexible model."""
    import altair as alt

    rows, bars = [], []
    for found in known:
        one = found.identification
        assert one is not None
        span = one.own - one.constant
        flexible = one.share.value + one.flexible.value / span if span > 1e-9 else math.nan
        values = {
            "the verdict": one.share.value,
            "with the flexible model": flexible,
            "expected of it": one.expected_share,
        }
        rows += [
            {"subject": found.subject, "share of": name, "share": value}
            for name, value in values.items()
            if math.isfinite(value)
        ]
        if math.isfinite(one.share.low):
            bars.append({"subject": found.subject, "low": one.share.low, "high": one.share.high})
    y = alt.Y("subject:N", title=None, sort=[found.subject for found in known], axis=alt.Axis(labelLimit=220))
    points = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_point(filled=True, size=80)
        .encode(
            x=alt.X("share:Q", title="explained share of the subject's regularity", axis=alt.Axis(format="%")),
            y=y,
            shape=alt.Shape("share of:N", legend=alt.Legend(title=None, orient="bottom")),
            color=alt.Color("share of:N", legend=alt.Legend(title=None, orient="bottom")),
            tooltip=["subject:N", "share of:N", alt.Tooltip("share:Q", format=".1%")],
        )
    )
    ranges = alt.Chart(alt.InlineData(values=bars)).mark_rule().encode(x="low:Q", x2="high:Q", y=y)
    says = "Explained shares: " + ", ".join(
        f"{found.subject} {100 * found.identification.share.value:.0f} %"
        for found in known
        if found.identification and found.identification.share.known
    )
    title = "Explained share, and what a flexible model adds"
    return figure("shares", title, alt.layer(ranges, points), 36 * len(known) + 40, f"{says}.")
