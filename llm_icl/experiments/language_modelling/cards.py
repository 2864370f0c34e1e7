"""The card of each attention in language modelling."""

import math

from llm_icl.analysis.comparisons import MARGIN, Judgement
from llm_icl.analysis.intervals import FEWEST_SEEDS, Estimate
from llm_icl.config.specs import counted
from llm_icl.reports.document import Badge, Card, Finding
from llm_icl.reports.values import written

_WORDS = {
    "above": "worse",
    "below": "better",
    "equivalent": f"the same within {100 * MARGIN:.0f} %",
    "identical": "the same losses",
}


def card_of(
    name: str, tokens: int, perplexity: Estimate, first: str, told: Judgement | None, seeds: int, trust: str
) -> Card:
    """Of an attention with its perplexity after so many tokens, and its change from the first one, None for the first
    one itself. Differences are over seeds.
    """
    own = f"{written(perplexity, 'hundredths')}"
    if told is None:
        badge: Badge = "clear" if math.isfinite(perplexity.low) else "weak"
        found = Finding(badge, f"{own}.")
    else:
        found = Finding("clear" if told.outcome in _WORDS else "can't tell", f"{own}. {change(name, first, told)}")
    few: Badge = "weak" if seeds > 1 else "can't tell"
    findings = {"Perplexity": found, "Trust": Finding("clear" if seeds >= FEWEST_SEEDS else few, trust)}
    return Card(name, f"a context of {counted(tokens, 'token')}", findings)


def change(name: str, first: str, told: Judgement) -> str:
    """How an attention's perplexity differs from that of the first one, in a sentence."""
    found = told.shown
    if told.outcome == "identical":
        return f"{name} has the same losses as {first}."
    how = f"{abs(100 * found.value):.2f} % {'lower' if found.value < 0 else 'higher'}"
    return f"That of {name} is {how} than that of {first} ({written(found, 'change')} %): {_meaning(told)}."


def _meaning(told: Judgement) -> str:
    if told.outcome in _WORDS:
        return _WORDS[told.outcome]
    resolution = ""
    if math.isfinite(told.resolves):
        needed = f"about {told.needed:.0f} seeds" if math.isfinite(told.needed) else "more seeds than can be run"
        resolution = f"; these resolve {100 * told.resolves:.2g} %, and {100 * MARGIN:.0f} % takes {needed}"
    return f"too few seeds to tell{resolution}"
