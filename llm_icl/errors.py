"""Errors written for the person who meets them: one line each."""

import difflib
from collections.abc import Iterable


class RequestError(Exception):
    """The request was wrong: one line that says what, what is allowed and, for a name, the nearest right one."""


class WorkError(Exception):
    """The request was right and the work stopped: one line that says why, and how to go on."""


class BudgetSpentError(WorkError):
    """What the work may cost is spent."""


def unknown_name(kind: str, name: str, allowed: Iterable[str], others: str = "") -> RequestError:
    """The error for a name that nothing is registered under; `others` describes what else could be written."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return RequestError(f"unknown {kind} '{name}': {hint}known are {', '.join(names)}{others}")
