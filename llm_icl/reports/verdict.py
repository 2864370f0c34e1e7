"""What the intervals say of one language model, in words."""

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.intervals import Estimate
from llm_icl.analysis.scores import agreement, difference, score
from llm_icl.problems import SHUFFLED


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
