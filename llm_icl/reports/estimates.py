"""How estimates are written: a value and its interval; nothing where it is not known, no interval without an end."""

import math

from llm_icl.analysis.intervals import Estimate


def formatted(estimate: Estimate, form: str, scale: float = 1.0) -> str:
    """In a format of numbers. What is the same for all that it is over has no interval."""
    if not estimate.known:
        return ""
    value, low, high = (f"{scale * bound:{form}}" for bound in estimate)
    return f"{value} [{low}, {high}]" if math.isfinite(estimate.low) and math.isfinite(estimate.high) else value


def share(estimate: Estimate) -> str:
    """In percent."""
    return formatted(estimate, ".1f", 100)


def points(estimate: Estimate) -> str:
    """A difference of shares, in points."""
    return formatted(estimate, "+.1f", 100)


def change(estimate: Estimate) -> str:
    """A relative change, in percent."""
    return formatted(estimate, "+.2f", 100)


def number(estimate: Estimate) -> str:
    return formatted(estimate, ".3f")


def examples(estimate: Estimate) -> str:
    """How many examples it took, where it may be that it never came to it."""
    if not estimate.known:
        return ""
    value, low, high = ("never" if bound == math.inf else f"{bound:.0f}" for bound in estimate)
    return f"{value} [{low}, {high}]"
