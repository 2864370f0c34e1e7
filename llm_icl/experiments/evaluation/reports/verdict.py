"""Verdicts on language models and networks, from the intervals."""

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.intervals import Estimate
from llm_icl.analysis.scores import agreement, difference, score
from llm_icl.problems import SHUFFLED

_RELATIONS = ("above", "not significantly different from", "below")


def verdict(cell: Cell, model: str) -> list[str]:
    """Does it learn, does it use the labels, how far is it from optimal, and which learner does it resemble?"""
    mine = score(cell, model)
    mean, last = percent(mine.average.value), percent(mine.last.value)
    sentences = [f"{model} is correct on {mean} of all queries, {last} at the last position."]
    if "best-constant" in cell.learners:
        gain = difference(cell, model, "best-constant")
        sentences.append(f"It is {_compared(gain)} the best constant ({_points(gain)}).")
    if cell.control_of(model) in cell.learners:
        gain = difference(cell, model, cell.control_of(model))
        meaning = "it uses the labels" if gain.low > 0 else "no evidence that it uses the labels"
        sentences.append(f"It is {_compared(gain)} itself with shuffled labels ({_points(gain)}): {meaning}.")
    if "nearest-neighbour" in cell.learners:
        gain = difference(cell, model, "nearest-neighbour")
        sentences.append(f"It is {_compared(gain)} nearest neighbour ({_points(gain)}).")
    for ceiling, called in (("bayes-labels", "exact Bayes from the labels"), ("bayes", "exact Bayes")):
        if ceiling in cell.learners:
            gain = difference(cell, model, ceiling)
            sentences.append(f"It is {_compared(gain)} {called} ({_points(gain)}).")
            break
    if closest := _closest(cell, model):
        sentences.append(closest)
    return sentences


def verdict_on_networks(cell: Cell) -> list[str]:
    """Which networks are above, at or below each reference. Networks are trained on the task, so their ceiling is the
    exact Bayes that knows the input distribution.
    """
    sentences = []
    for reference, called in (
        ("bayes", "exact Bayes"),
        ("nearest-neighbour", "nearest neighbour"),
        ("best-constant", "the best constant"),
    ):
        if reference in cell.learners and cell.networks:
            groups: dict[str, list[str]] = {}
            gains = {name: difference(cell, name, reference) for name in cell.networks}
            for name, gain in sorted(gains.items(), key=lambda entry: -entry[1].value):
                groups.setdefault(_compared(gain), []).append(f"{name} ({100 * gain.value:+.1f})")
            parts = [f"{relation} it {_are(groups[relation])}" for relation in _RELATIONS if relation in groups]
            sentences.append(f"Compared with {called}, in points over all queries: {'; '.join(parts)}.")
    return sentences


def _are(names: list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _closest(cell: Cell, model: str) -> str:
    """The classical learner with the highest agreement on unseen queries, or on all queries if none is unseen."""
    unseen = bool((~cell.seen).any())
    names, shares = agreement(cell, ~cell.seen if unseen else None)
    row = dict(zip(names, shares[names.index(model)].tolist(), strict=True))
    others = {name: share for name, share in row.items() if name not in cell.models and SHUFFLED not in name}
    known = {name: share for name, share in others.items() if share == share}
    if not known:
        return ""
    best = max(known, key=lambda name: known[name])
    return f"On {'unseen' if unseen else 'all'} queries it agrees most with {best} ({percent(known[best])} of them)."


def _compared(gain: Estimate) -> str:
    return "above" if gain.low > 0 else "below" if gain.high < 0 else "not significantly different from"


def _points(gain: Estimate) -> str:
    return f"{100 * gain.value:+.1f} points, {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
