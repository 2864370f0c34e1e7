"""Formats values: an estimate with its interval, or with "too few" where the problems are too few for one."""

import math
import re
from typing import Literal

from llm_icl.analysis.intervals import Estimate

Value = Estimate | float | int | str | None
Kind = Literal[
    "text", "count", "share", "points", "change", "number", "tenths", "hundredths", "power", "rounding", "examples", "p"
]

# A command of ours in a sentence; nothing else is written as code, whatever a model or a name holds.
COMMAND = re.compile(r"`(llm-icl [a-z-]+)`")

# Number formats and factors: fractions, points and changes are shown in percent.
_FORMS: dict[Kind, tuple[str, float]] = {
    "count": (",.0f", 1),
    "share": (".1f", 100),
    "points": ("+.1f", 100),
    "change": ("+.2f", 100),
    "number": (".3f", 1),
    "tenths": (".1f", 1),
    "hundredths": (".2f", 1),
    "rounding": (".1e", 1),
}


def written(value: Value, kind: Kind) -> str:
    """Format a value; empty if it is unknown. An estimate has its interval: none if it is unbounded, "[too few]" where
    the data do not determine one. A difference between learners with the same answers is "identical".
    """
    if value is None or isinstance(value, str):
        return value or ""
    estimate = value if isinstance(value, Estimate) else Estimate(value, -math.inf, math.inf)
    if not estimate.known:
        return ""
    if kind == "p":
        return "< 0.001" if estimate.value < 0.001 else f"{estimate.value:.3f}"
    if kind == "power":
        return _power(estimate.value)
    if kind == "examples":
        return _examples(estimate)
    if estimate.identical:
        return "identical"
    form, scale = _FORMS[kind]
    shown, low, high = (f"{scale * bound:{form}}" for bound in estimate)
    if math.isnan(estimate.low):
        return f"{shown} [too few]"
    return f"{shown} [{low}, {high}]" if math.isfinite(estimate.low) and math.isfinite(estimate.high) else shown


def _examples(needed: Estimate) -> str:
    """A number of examples; infinite where it is not shown that the target is reached."""
    if math.isinf(needed.value):
        return "not reached" if math.isinf(needed.low) else "not shown"
    return f"{needed.value:.0f} [{needed.low:.0f}, {needed.high:.0f}]"


def _power(number: float) -> str:
    """Three digits and a power of ten: 4.61e6."""
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"
