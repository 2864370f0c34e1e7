"""Command-line options from declared options."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from llm_icl.cli.completing import completing
from llm_icl.config.options import Declared, Options, declared

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

_TYPES: dict[type, Any] = {int: int, float: float, str: str, Path: click.Path(path_type=Path)}


def declared_options(options: type[Options]) -> Decorator[Any]:
    """Add a command-line option for each declared one. Values are checked by the declaration."""

    def add(command: Any) -> Any:
        for one in reversed(declared(options)):
            command = _click_option(one)(command)
        return command

    return add


def _click_option(one: Declared) -> Decorator[Any]:
    notes = [f"[{note}]" for note in (one.shown, one.limits, "required" if one.required else "") if note]
    text = " ".join([one.text, *notes])
    complete = None if one.choices else completing(one.name)
    if one.kind is bool:
        return click.option(f"{one.flag}/--no-{one.flag[2:]}" if one.default else one.flag, one.name, is_flag=True,
                            default=one.default, show_default=one.default, help=text)  # fmt: skip
    kind = click.Choice(one.choices) if one.choices else _TYPES[one.kind]
    if one.several:
        # Comma lists are split by the declaration.
        default = [",".join(map(str, one.default))] if not one.required and one.default else None
        kind = str if one.kind is int else kind
        return click.option(
            one.flag, one.name, multiple=True, type=kind, default=default, help=text, shell_complete=complete
        )
    default = None if one.required else one.default
    return click.option(
        one.flag, one.name, type=kind, default=default, show_default=default not in (None, ""), help=text,
        shell_complete=complete,
    )  # fmt: skip
