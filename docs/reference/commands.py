"""The reference page of the command line, made from what is declared: `python docs/reference/commands.py` writes it.

The options of a kind of experiment come from its option class, where each has a type, bounds, a default and a text; the
rest comes from the commands themselves.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import click  # noqa: E402

from llm_icl.cli.main import cli  # noqa: E402
from llm_icl.config.options import Declared, Options, declared  # noqa: E402
from llm_icl.experiments.kinds import experiments  # noqa: E402
from llm_icl.experiments.options import FolderOptions  # noqa: E402
from llm_icl.suites.options import SuiteOptions  # noqa: E402
from llm_icl.tasks.options import QueryOptions, SamplingOptions  # noqa: E402

TARGET = Path(__file__).with_name("commands.md")
OPTIONS: dict[str, type[Options]] = {
    "export-tasks": QueryOptions, "list": FolderOptions, "run": SuiteOptions, "sample": SamplingOptions,
    "show": FolderOptions,
}  # fmt: skip
KINDS = {int: "whole number", float: "number", str: "text", bool: "true or false", Path: "path"}
INTRODUCTION = """# Commands

<!-- Made by docs/reference/commands.py from the declared options: change those, not this page. -->

`llm-icl COMMAND [OPTIONS]`. Options marked *list* can be repeated or take a comma list. Names take options of their own
after a colon: `nearest-neighbour:k=3,tie=vote`. Results go to standard output, progress and warnings to standard error.
Exit status: 0 done, 1 the work failed, 2 the request was wrong, 130 interrupted.

The same options, with underscores, are the arguments of the [Python API](../guide/python.md), and those that can vary
within a suite are the keys of a [suite's card](../guide/suites.md).
"""


def verbs() -> dict[str, click.Command]:
    """Every command by what is typed, the parts of `show` one by one; kinds of other distributions are left out."""
    context = click.Context(cli)
    foreign = {name for name, kind in experiments.items() if not kind.__module__.startswith("llm_icl.")}
    found = {}
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is None or name in foreign:
            continue
        if isinstance(command, click.Group):
            found |= {f"{name} {part}": command.commands[part] for part in sorted(command.commands)}
        else:
            found[name] = command
    return found


def options_of(verb: str) -> dict[str, Declared]:
    """What is declared of a command's options, by name."""
    name = verb.split()[0]
    own = dict(experiments.items())
    options = own[name].options if name in own else OPTIONS.get(name)
    return {one.name: one for one in declared(options)} if options else {}


def section(verb: str, command: click.Command) -> Iterator[str]:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    words = " ".join(f"{one.human_readable_name}{' …' if one.nargs < 0 else ''}" for one in arguments)
    yield f"## {verb}\n"
    yield f"`llm-icl {verb}{f' {words}' if words else ''} [OPTIONS]`\n"
    yield " ".join((command.help or "").split("\n\n")[0].split()) + "\n"
    yield from (" ".join(part.split()) + "\n" for part in (command.help or "").split("\n\n")[1:])
    yield from (
        f"{one.human_readable_name} is {_kind(one.type)}.\n" for one in arguments if isinstance(one.type, click.Choice)
    )
    known = options_of(verb)
    rows = [_declared(known[one.name]) if one.name in known else _clicked(one) for one in _options(command)]
    if rows:
        yield "| option | type | default | what it does |\n| --- | --- | --- | --- |"
        yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        yield ""


def _options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option)]


def _declared(one: Declared) -> tuple[str, ...]:
    flag = f"`{one.flag}`"
    if one.kind is bool:
        flag = f"`{one.flag}` / `--no-{one.flag[2:]}`" if one.default else flag
        return flag, "flag", "on" if one.default else "off", one.text
    kind = "one of " + ", ".join(f"`{choice}`" for choice in one.choices) if one.choices else KINDS[one.kind]
    kind += f", {limits}" if (limits := _limits(one.minimum, one.maximum, one.above)) else ""
    return flag, kind + (", list" if one.several else ""), _default(one), one.text


def _limits(minimum: float | None, maximum: float | None, above: float | None) -> str:
    bounds = {"at least": minimum, "above": above, "at most": maximum}
    return " and ".join(f"{word} {_plain(bound)}" for word, bound in bounds.items() if bound is not None)


def _plain(number: float) -> str:
    """Whole numbers in full: 1,073,741,823."""
    return f"{int(number):,}" if number == int(number) else f"{number:g}"


def _default(one: Declared) -> str:
    if one.required:
        return "**required**"
    if one.shown or one.default in (None, (), ""):
        return one.shown or "none"
    values = one.default if one.several else (one.default,)
    return "`" + ",".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values) + "`"


def _clicked(one: click.Option) -> tuple[str, ...]:
    flag, text = f"`{one.opts[0]}`", one.help or ""
    text, _, shown = text.removesuffix("].").partition(" [") if text.endswith("].") else (text, "", "")
    text = text if text.endswith(".") else text + "."
    if one.is_flag:
        return flag, "flag", "off", text
    default = "**required**" if one.required else shown or _written(one.default)
    return flag, _kind(one.type), default, text


def _written(default: Any) -> str:
    return f"`{default}`" if isinstance(default, str | int | float) and default != "" else "none"


def _kind(kind: click.ParamType) -> str:
    if isinstance(kind, click.Choice):
        return "one of " + ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange):
        return f"whole number, {kind.min} to {kind.max}"
    return {"integer": "whole number", "float": "number", "path": "path", "file": "path"}.get(kind.name, "text")


def page() -> str:
    found = verbs()
    contents = "\n".join(f"- [{verb}](#{verb.replace(' ', '-')})" for verb in found)
    parts = [line for verb, command in found.items() for line in section(verb, command)]
    return "\n".join([INTRODUCTION, contents, "", *parts]).rstrip() + "\n"


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    print(TARGET.relative_to(ROOT))
