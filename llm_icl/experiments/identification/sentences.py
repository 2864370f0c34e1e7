"""Verdicts in words, each with its numbers."""

import math
from collections.abc import Sequence

from llm_icl.analysis.identification.result import Identification, Mixed
from llm_icl.analysis.intervals import Estimate
from llm_icl.config.specs import any_of
from llm_icl.experiments.identification.findings import Found

_OVER = {"queries": "drawn anew at every query", "contexts": "over contexts", "problems": "over problems"}


def sentence(found: Found) -> str:
    """One sentence on a subject."""
    one = found.identification
    if one is None:
        return f"too few answers ({100 * found.answered:.0f} % of the questions)."
    return f"{_verdict(one)}."


def _verdict(one: Identification) -> str:
    names = any_of(one.names)
    if one.verdict == "single":
        same = ", which give the same answers here," if len(one.names) > 1 else ""
        return f"{names}{same} {_explains(one)}"
    if one.verdict == "too few":
        which = f"{names} are possible" if one.names else "it is not clear whether the answers depend on the examples"
        return f"too few problems to tell ({one.problems}; {_wanted(one)}): {which}"
    if one.verdict == "independent":
        if one.names == ("the query",):
            return "the answers depend on the query's bits, not on the examples"
        return f"the answers do not depend on the examples{f' ({names})' if names else ''}"
    if one.verdict == "changes":
        each = ", ".join(f"{name} at {m} examples" for m, name in zip(one.sizes, one.names, strict=True))
        return f"the algorithm changes: {each}; {_explains(one)}"
    if one.verdict in _OVER:
        mixed = next(mixed for mixed in one.mixtures if mixed.over == one.verdict)
        return f"a mixture {_OVER[one.verdict]}: {_weights(mixed, one.names)}; {_explains(one)}"
    about = f"; what is left depends on {one.left.about}" if one.left.about else ""
    explains = f"explains {_share(one)} of the regularity{about}"
    if one.verdict == "nearest":
        return f"nearest to {names}, but not it: the best mixture of what is known {explains}"
    return f"none of these: the best mixture {explains}"


def _share(one: Identification) -> str:
    return f"{'' if one.own_known else 'at least '}{_percent(one.share)}"


def _explains(one: Identification) -> str:
    """With what a subject would show that is nothing else, and has this noise."""
    expected = f" ({100 * one.expected_share:.0f} % expected of it)" if math.isfinite(one.expected_share) else ""
    return f"explains {_share(one)} of the regularity{expected}"


def _weights(mixed: Mixed, names: Sequence[str]) -> str:
    weights = dict(zip(mixed.names, mixed.weights, strict=False))
    return ", ".join(f"{name} {_percent(weights[name])}" for name in names)


def _wanted(one: Identification) -> str:
    if math.isfinite(one.needed):
        return f"about {max(math.ceil(one.needed), one.problems + 1):,} would do"
    return "no number of them would do with these queries"


def _percent(estimate: Estimate) -> str:
    low, high = max(estimate.low, -9.99), min(estimate.high, 9.99)
    return f"{100 * estimate.value:.0f} % [{100 * low:.0f}, {100 * high:.0f}]" if estimate.known else "an unknown share"
