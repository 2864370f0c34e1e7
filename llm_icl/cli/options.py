"""Options that several verbs share, and how they are read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from llm_icl.errors import RequestError

F = TypeVar("F", bound=Callable[..., Any])

# Asked without --n; a dimension at which most classes can be learned and exact Bayes is quick.
DEFAULT_N = 5


def folders(command: F) -> F:
    """--tasks-dir and --prompts-dir."""
    kind = click.Path(path_type=Path, file_okay=False, exists=True)
    command = click.option("--tasks-dir", type=kind, help="Folder of your own task cards [./tasks].")(command)
    return click.option("--prompts-dir", type=kind, help="Folder of your own prompt templates [./prompts].")(command)


def whole_numbers(option: str, texts: Sequence[str], least: int) -> tuple[int, ...]:
    """Numbers from repeated options and comma lists, in order and without repeats."""
    numbers = []
    for piece in (piece.strip() for text in texts for piece in text.split(",")):
        try:
            numbers.append(int(piece))
        except ValueError:
            raise RequestError(f"{option} {piece!r} is not a whole number") from None
        if not least <= numbers[-1] < 2**32:
            raise RequestError(f"{option} {piece} is out of range: {least} to 2^32 - 1")
    return tuple(dict.fromkeys(numbers))


def read_positions(text: str, points: int) -> tuple[int, ...]:
    """`all`, or a comma list of numbers of examples before the query."""
    if text == "all":
        return tuple(range(points))
    positions = tuple(sorted(whole_numbers("--positions", [text], 0)))
    if positions[-1] >= points:
        raise RequestError(
            f"--positions {positions[-1]} is out of range: with --points {points} the last is {points - 1}"
        )
    return positions
