"""An option is declared once: shells, suites and Python get the same values, checks and words."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click
import numpy as np
import pytest
from click.testing import CliRunner

from llm_icl.cli.options import declared_options
from llm_icl.config.options import Options, declared, option
from llm_icl.errors import RequestError
from llm_icl.experiments.kinds import experiments


@dataclass(frozen=True, kw_only=True)
class Shared(Options):
    """Of a base."""

    folder: Path | None = option(None, shown="./here")
    """Where it is."""


@dataclass(frozen=True, kw_only=True)
class Example(Shared):
    """One of each kind."""

    name: str = option()
    """What it is called,
    over two lines."""
    count: int = option(3, minimum=1, maximum=9)
    """How many."""
    share: float = option(0.5, above=0)
    """How much."""
    sizes: tuple[int, ...] = option((2, 4), minimum=1)
    """Which sizes."""
    words: tuple[str, ...] = option(())
    """Which words."""
    kind: Literal["plain", "fancy"] | None = option(None)
    """What kind."""
    home: Path | None = option(None, exists="folder")
    """A folder that is there."""
    loud: bool = option(False)
    """Whether it is loud."""
    tidy: bool = option(True)
    """Whether it is tidy."""


@click.command()
@declared_options(Example)
def command(**chosen):
    click.echo(repr(Example.of(chosen)))


def test_a_declaration_says_all_of_an_option():
    found = {one.name: one for one in declared(Example)}
    assert list(found) == ["name", "count", "share", "sizes", "words", "kind", "home", "loud", "tidy", "folder"]
    assert found["name"].text == "What it is called, over two lines."
    assert (found["count"].kind, found["count"].limits) == (int, "at least 1 and at most 9")
    assert (found["sizes"].several, found["kind"].choices, found["folder"].shown) == (
        True, ("plain", "fancy"), "./here",
    )  # fmt: skip
    assert [one.name for one in found.values() if one.required] == ["name"]


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        ("--name a", {"name": "a"}),
        ("--name a --count 9 --share 1", {"name": "a", "count": 9, "share": 1.0}),
        ("--name a --sizes 1,2 --sizes 5", {"name": "a", "sizes": (1, 2, 5)}),
        ("--name a --words x,y --words z", {"name": "a", "words": ("x,y", "z")}),
        ("--name a --kind fancy --loud --no-tidy", {"name": "a", "kind": "fancy", "loud": True, "tidy": False}),
        ("--name a --folder b/c", {"name": "a", "folder": Path("b/c")}),
    ],
)
def test_a_shell_and_python_mean_the_same(arguments, values):
    done = CliRunner().invoke(command, arguments.split())
    assert done.output.strip() == repr(Example.of(values)) == repr(Example(**values))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "--name is missing"),
        ({"name": "a", "count": 0}, "--count 0 is out of range: at least 1 and at most 9"),
        ({"name": "a", "count": 10}, "--count 10 is out of range"),
        ({"name": "a", "count": True}, "--count must be a whole number, at least 1 and at most 9, not True"),
        ({"name": "a", "count": 2.5}, "--count must be a whole number"),
        ({"name": "a", "count": "three"}, "--count must be a whole number"),
        ({"name": "a", "count": None}, "--count must be a whole number"),
        ({"name": "a", "share": 0}, "--share 0.0 is out of range: above 0"),
        ({"name": "a", "share": float("nan")}, "--share must be a number"),
        ({"name": "a", "share": float("inf")}, "--share must be a number"),
        ({"name": "a", "sizes": [1, 0]}, "--sizes 0 is out of range"),
        ({"name": "a", "sizes": [1, 2.5]}, "--sizes must be a whole number"),
        ({"name": "a", "sizes": "1,x"}, "--sizes 'x' is not a whole number"),
        ({"name": "a", "words": [["b"]]}, "--words must be text"),
        ({"name": "a", "kind": "banana"}, "--kind must be one of plain, fancy, not 'banana'"),
        ({"name": "a", "loud": "yes"}, "--loud must be true or false"),
        ({"name": ["a"]}, "--name must be text"),
        ({"name": "a", "sizes": []}, "--sizes is empty"),
        ({"name": "a", "count": 10**400}, "is out of range"),
        ({"name": "a", "share": 10**400}, "is out of range"),
        ({"name": "a", "home": "/nowhere/at/all"}, "--home /nowhere/at/all: there is no such folder"),
        ({"name": "a", "folder": 3}, "--folder must be path"),
        ({"name": "a", "cuont": 3}, "unknown option 'cuont': did you mean 'count'?"),
    ],
)
def test_a_wrong_value_is_one_clear_line(values, words):
    with pytest.raises(RequestError) as problem:
        Example.of(values)
    assert words in str(problem.value)


def test_a_number_where_text_is_wanted_is_its_text_and_one_item_is_a_list():
    assert Example.of({"name": 200, "words": "x", "sizes": 7}) == Example(name="200", words=("x",), sizes=(7,))
    assert Example.of({"name": "a", "count": np.int64(4), "words": []}) == Example(name="a", count=4)


def test_help_is_the_docstring_of_the_field():
    shown = " ".join(CliRunner().invoke(command, ["--help"]).output.split())
    assert "What it is called, over two lines." in shown
    assert "Where it is. [./here]" in shown


@pytest.mark.parametrize("kind", [name for name, _ in experiments.items()])
def test_every_option_of_every_kind_is_described_and_has_a_default_that_it_would_take(kind):
    for one in declared(experiments.get(kind).options):
        assert one.text.endswith("."), one.name
        if not one.required and one.default is not None:
            assert one.value(one.default) == one.default, one.name
