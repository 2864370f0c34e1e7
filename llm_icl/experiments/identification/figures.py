"""The figures of identifications."""

import math
from collections.abc import Mapping, Sequence

from llm_icl.config.files import file_name
from llm_icl.experiments.identification.findings import Cell, Found
from llm_icl.reports.charts import COUNT, Axis, Point, dots, heat_map, lines, reading, rule_at
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Figure
from llm_icl.reports.values import written

# Candidates whose scores are drawn for each problem.
LEADING = 3
# More problems than this are shown as this many.
_MOST_NEEDED = 1000


def identifiability_map(cell: Cell) -> Figure:
    """Problems needed to tell each candidate (row: the truth) from each other one."""
    names = list(cell.identifiability.names)
    rows = []
    hardest: tuple[float, str, str] = (0, "", "")
    for i, truth in enumerate(names):
        for j, (other, needed) in enumerate(zip(names, cell.identifiability.needed[i], strict=True)):
            if i == j:
                continue
            count = max(math.ceil(needed), 1) if math.isfinite(needed) else math.inf
            said = f"{count:,}" if math.isfinite(count) else "never"
            nats = f"{cell.identifiability.nats[i][j]:.2f} nats per problem"
            says = reading(f"if {truth} is the truth", f"told from {other}", f"problems needed: {said} ({nats})")
            rows.append({"x": other, "y": truth, "value": min(count, _MOST_NEEDED), "text": said, "says": says})
            if math.isfinite(count):
                hardest = max(hardest, (count, truth, other))
    says = f"Problems needed to tell {len(names)} candidates apart"
    if hardest[0]:
        says += f"; most, {hardest[0]:,}, to tell {hardest[1]} from {hardest[2]}"
    title = "Problems needed to tell candidates apart (95 % power)"
    x, y = Axis("told from"), Axis("if this is the truth")
    return heat_map("identifiability", title, rows, x, y, f"{says}.", domain=(1, _MOST_NEEDED), log=True, wide=46)


def weights_by_examples(found: Found, colours: Mapping[str, str]) -> Figure:
    """The weights of the components of a subject's mixtures, with 95 % intervals, by number of examples."""
    one = found.identification
    assert one is not None
    mixed = next((mixed for mixed in one.mixtures if mixed.over == one.verdict), one.mixtures[0])
    series = {
        name: [
            Point(m, weights[i].value, f"{written(weights[i], 'share')} %", weights[i].low, weights[i].high)
            for m, weights in zip(one.sizes, mixed.by_size, strict=True)
            if math.isfinite(weights[i].value)
        ]
        for i, name in enumerate(mixed.names)
    }
    says = f"Weights of {', '.join(mixed.names)} in the best mixture over {mixed.over} for {found.subject}."
    title = f"{found.subject}: weights of a mixture over {mixed.over}"
    x, y = Axis("in-context examples", "ordinal"), Axis("weight", form="%", domain=(0, 1))
    name = f"weights-{file_name(found.subject)}"
    return lines(name, title, series, x, y, colours, says, height=220, band=False, named=False)


def scores_by_context(found: Found, colours: Mapping[str, str]) -> Figure:
    """The held-out score of each problem under the leading candidates, above that of the best constant."""
    one = found.identification
    assert one is not None
    leading = one.candidates[:LEADING]
    order = sorted(range(len(leading[0].by_problem)), key=lambda i: -leading[0].by_problem[i])
    series = {
        each.name: [
            Point(place, each.by_problem[i], f"{each.by_problem[i]:.2f} nats")
            for place, i in enumerate(order, 1)
            if math.isfinite(each.by_problem[i])
        ]
        for each in leading
    }
    averages = ", ".join(f"{each.name} {sum(each.by_problem) / len(each.by_problem):.2f}" for each in leading)
    says = f"The score of each problem for {found.subject}, above the best constant; on average: {averages} nats."
    x, y = Axis(f"problems, in the order of {leading[0].name}", form=COUNT), Axis("nats above the best constant")
    name, title = f"scores-{file_name(found.subject)}", f"{found.subject}: score of each problem"
    return lines(name, title, series, x, y, colours, says, height=200, joined=False, more=[rule_at(0)])


def shares_and_flexible(known: Sequence[Found]) -> Figure:
    """The explained share of each subject, what it would be if nothing were left, and with the flexible model."""
    rows: dict[str, dict[str, Point]] = {}
    for found in known:
        one = found.identification
        assert one is not None
        span = one.own - one.constant
        flexible = one.share.value + one.flexible.value / span if span > 1e-9 else math.nan
        share = Point(0, one.share.value, f"{written(one.share, 'share')} %", one.share.low, one.share.high)
        others = {"with the flexible model": flexible, "expected of it": one.expected_share}
        points = {"the verdict": share}
        points |= {name: Point(0, value, f"{100 * value:.1f} %") for name, value in others.items()}
        rows[found.subject] = {name: point for name, point in points.items() if math.isfinite(point.y)}
    says = "Explained shares: " + ", ".join(
        f"{found.subject} {100 * found.identification.share.value:.0f} %"
        for found in known
        if found.identification and found.identification.share.known
    )
    title = "Explained share, and what a flexible model adds"
    x = Axis("explained share of the subject's regularity", form="%")
    colours = colours_of(["the verdict", "with the flexible model", "expected of it"])
    return dots("shares", title, rows, x, colours, f"{says}.")
