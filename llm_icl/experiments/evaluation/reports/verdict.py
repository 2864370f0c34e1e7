"""What the intervals say of language models and of networks, in words."""

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.intervals import Estimate
from llm_icl.analysis.scores import agreement, difference, score
from llm_icl.problems import SHUFFLED

_RELATIONS = ("above", "not distinguishable from", "below")


def verdict(cell: Cell, model: str) -> list[str]:
    """Does it learn, does it use the labels, how far is it from the best, and whom is it like?"""
    mine = score(cell, model)
    mean, last = percent(mine.average.value), percent(mine.last.value)
    sentences = [f"{model} answers {mean} of all queries right, {last} of the last ones."]
    if "best-constant" in cell.learners:
        gain = difference(cell, model, "best-constant")
        sentences.append(f"It is {_compared(gain)} the best constant ({_points(gain)}).")
    if cell.control_of(model) in cell.learners:
        gain = difference(cell, model, cell.control_of(model))
        meaning = "so the labels matter" if gain.low > 0 else "so nothing shows that the labels matter"
        sentences.append(f"It is {_compared(gain)} itself with shuffled labels ({_points(gain)}), {meaning} to it.")
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
    """Which of the networks are above, at or below each reference. Networks were made for the task, so their ceiling
    is the Bayes that knows how the inputs were drawn.
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
            sentences.append(f"Against {called}, in points over all queries: {'; '.join(parts)}.")
    return sentences


def _are(names: list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _closest(cell: Cell, model: str) -> str:
    """The classical learner whose answers to unseen queries are most often the same; to all, where none is unseen."""
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
    return "above" if gain.low > 0 else "below" if gain.high < 0 else "not distinguishable from"


def _points(gain: Estimate) -> str:
    return f"{100 * gain.value:+.1f} points, {100 * gain.low:+.1f} to {100 * gain.high:+.1f}"
