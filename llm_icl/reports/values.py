"""Formats values: an estimate with its interval; empty if unknown, without interval if it is unbounded."""

import math
from typing import Literal

from llm_icl.analysis.intervals import Estimate

Value = Estimate | float | int | str | None
Kind = Literal[
    "text", "count", "share", "points", "change", "number", "tenths", "hundredths", "power", "rounding", "examples"
]

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
    """Format a value. Without variance there is no interval."""
    if value is None or isinstance(value, str):
        return value or ""
    estimate = value if isinstance(value, Estimate) else Estimate(value, math.nan, math.nan)
    if not estimate.known:
        return ""
    if kind == "power":
        return _power(estimate.value)
    if kind == "examples":  # may be infinite: the target was never reached
        shown, low, high = ("never" if bound == math.inf else f"{bound:.0f}" for bound in estimate)
        return f"{shown} [{low}, {high}]"
    form, scale = _FORMS[kind]
    shown, low, high = (f"{scale * bound:{form}}" for bound in estimate)
    return f"{shown} [{low}, {high}]" if math.isfinite(estimate.low) and math.isfinite(estimate.high) else shown


def _power(number: float) -> str:
    """Three digits and a power of ten: 4.61e6."""
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{mantissa}e{int(exponent)}"
