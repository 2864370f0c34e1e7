"""Progress callbacks."""

from collections.abc import Callable

# Called with a description, the amount done, and the total.
OnProgress = Callable[[str, int, int], None]


def silent(what: str, done: int, whole: int) -> None:
    """An OnProgress callback that ignores all calls."""
