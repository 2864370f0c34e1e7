"""Errors with one-line messages for users."""

import difflib
from collections.abc import Iterable


class RequestError(Exception):
    """An invalid request. The message states what is wrong, what is allowed and, for a name, the nearest valid one."""


class TakenNameError(RequestError):
    """Two entries of a registry have one name."""


class WorkError(Exception):
    """A valid request whose work stopped. The message states why, and how to resume."""


class BudgetSpentError(WorkError):
    """The spending limit is reached."""


# Kinds of names that stand for a user's own files in a folder.
_CARDS = ("task", "prompt")


def unknown_name(kind: str, name: str, allowed: Iterable[str], others: str = "") -> RequestError:
    """The error for an unknown name; `others` describes other accepted forms."""
    names = sorted(allowed)
    if kind in _CARDS and ("/" in name or name.endswith((".yaml", ".yml", ".jinja"))):
        return RequestError(
            f"unknown {kind} '{name}': put the file into ./{kind}s, or the folder of --{kind}s-dir, and "
            "give its name without the ending"
        )
    return RequestError(f"unknown {kind} '{name}': {nearest(name, names)}known are {', '.join(names)}{others}")


def nearest(name: str, allowed: Iterable[str]) -> str:
    """The nearest of the allowed names as a question, empty if none is near."""
    near = difflib.get_close_matches(name, list(allowed), n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'? " if near else ""
