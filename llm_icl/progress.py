"""How work says how far it is."""

from collections.abc import Callable

# Called with what is being done, how much of it is done, and how much there is.
OnProgress = Callable[[str, int, int], None]


def silent(what: str, done: int, whole: int) -> None:
    """Nothing is said."""
