"""Errors with one-line messages for users."""

import difflib
from collections.abc import Iterable


class RequestError(Exception):
    """An invalid request. The message states what is wrong, what is allowed and, for a name, the nearest valid one."""


class WorkError(Exception):
    """A valid request whose work stopped. The message states why, and how to resume."""


class BudgetSpentError(WorkError):
    """The spending limit is reached."""


def unknown_name(kind: str, name: str, allowed: Iterable[str], others: str = "") -> RequestError:
    """The error for an unknown name; `others` describes other accepted forms."""
    names = sorted(allowed)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return RequestError(f"unknown {kind} '{name}': {hint}known are {', '.join(names)}{others}")
