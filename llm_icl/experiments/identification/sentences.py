"""The verdict on a subject in words."""

from collections.abc import Sequence

from llm_icl.analysis.identification.result import Identification
from llm_icl.analysis.identification.verdict import REJECTED
from llm_icl.analysis.intervals import Estimate
from llm_icl.experiments.identification.findings import Found
from llm_icl.experiments.identification.options import LEAST_CONTEXTS
from llm_icl.reports.verdicts import Verdict


def sentence(found: Found) -> str:
    """One sentence on a subject."""
    if found.identification is None:
        return (
            f"Too few answers: to fewer than {LEAST_CONTEXTS} problems at every number of examples "
            f"({100 * found.answered:.0f} % of the questions)."
        )
    return verdict_of(found.identification).sentence()


def about_seen(examples: Sequence[int], seen: Sequence[float]) -> str:
    """Which of the queries are among the examples, where answers may be looked up; empty if none is."""
    if not any(seen):
        return ""
    shares = ", ".join(f"{100 * share:.0f} %" for share in seen)
    behind = " or ".join(map(str, examples))
    return f"Of the queries behind {behind} examples {shares} stand among them: too few other inputs are left."


def verdict_of(one: Identification) -> Verdict:
    return Verdict(
        one.verdict,
        one.names,
        one.problems,
        share=one.share,
        own_known=one.own_known,
        expected=one.expected_share,
        needed=one.needed if one.verdict == "too few" else float("nan"),
        examples=tuple(map(str, one.sizes)),
        weights=_weights(one),
        left=one.left.about if one.left.p_value < REJECTED else "",
        unclear="whether its answers depend on the examples",
    )


def _weights(one: Identification) -> tuple[Estimate, ...]:
    """Of the named components of a mixture."""
    found = (mixed for mixed in one.mixtures if mixed.over == one.verdict)
    weights = [dict(zip(mixed.names, mixed.weights, strict=False)) for mixed in found]
    return tuple(weights[0][name] for name in one.names) if weights else ()
