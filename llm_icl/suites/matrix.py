"""Common parts of suites: a matrix of axes, settings, and overrides for some of its points."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from llm_icl.config.cards import Card
from llm_icl.config.options import Options, declared
from llm_icl.errors import RequestError

# A key's value, in the type of the key. Raises RequestError for an invalid one.
Check = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Matrix:
    """Axes with their values, settings with their defaults, and overrides of settings at some points."""

    axes: Mapping[str, Sequence[Any]]
    settings: Mapping[str, Any]
    overrides: Sequence[Mapping[str, Any]]

    def points(self, axes: Sequence[str]) -> Iterator[dict[str, Any]]:
        """All combinations of the values of the given axes."""
        for point in itertools.product(*(self.axes[axis] for axis in axes)):
            yield dict(zip(axes, point, strict=True))

    def settings_at(self, point: Mapping[str, Any]) -> dict[str, Any]:
        settings = dict(self.settings)
        for override in self.overrides:
            if all(axis in point and point[axis] in listed(values) for axis, values in override["when"].items()):
                settings |= {key: value for key, value in override.items() if key != "when"}
        return settings


def read_matrix(card: Card, axes: Sequence[str], defaults: Mapping[str, Any], settings: Mapping[str, Any],
                check: Check) -> Matrix:  # fmt: skip
    """The matrix of a suite's card. An axis without a default must be given. Raises RequestError, with the line."""
    card.only(("kind", "description", "matrix", "overrides", "published", *settings), needed=("matrix",))
    found = _axes(card, card.fields["matrix"], axes, defaults)
    for axis, values in found.items():
        found[axis] = _values(card, check, axis, values, "matrix", f"the axis '{axis}': ")
    given = {key: card.fields.get(key, default) for key, default in settings.items()}
    for key, value in given.items():
        _see(card, check, key, value, key, "")
    overrides = card.fields.get("overrides", [])
    if not isinstance(overrides, list):
        raise card.error("'overrides' must be a list", "overrides")
    read = []
    for override in overrides:
        if not isinstance(override, dict) or not isinstance(override.get("when"), dict):
            raise card.error("an override must have 'when' and the settings that then apply", "overrides")
        when = {}
        for axis, values in override["when"].items():
            if axis not in axes:
                raise card.error(f"unknown axis '{axis}' in 'when': known are {', '.join(axes)}", "overrides")
            where = f"in an override, when '{axis}': "
            when[axis] = _values(card, check, axis, listed(values), "overrides", where)
            if absent := [value for value in when[axis] if value not in found[axis]]:
                raise card.error(f"{where}{absent[0]} is not on the axis", "overrides")
        for name, value in override.items():
            if name == "when":
                continue
            if name not in settings:
                known = ", ".join(settings)
                raise card.error(f"in an override: unknown setting '{name}': known are {known}", "overrides")
            _see(card, check, name, value, "overrides", "in an override: ")
        read.append({**override, "when": when})
    return Matrix(found, given, read)


def checked_by(*options: type[Options]) -> Check:
    """Values are checked by the option with their name, in the first class that declares it."""
    known = {one.name: one for kind in reversed(options) for one in declared(kind)}

    def check(name: str, value: Any) -> Any:
        return known[name.replace("-", "_")].value(value)

    return check


def refuse_repeats(suite: str, names: Sequence[str]) -> None:
    """Raise RequestError if a cell appears twice in a matrix."""
    for name in names:
        if names.count(name) > 1:
            raise RequestError(f"suite '{suite}': the cell {name} appears twice")


def listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _values(card: Card, check: Check, name: str, values: Sequence[Any], key: str, where: str) -> list[Any]:
    """The values of an axis; one that lists several (`"3,5"`) counts as these."""
    return [one for value in values for one in listed(_see(card, check, name, value, key, where))]


def _see(card: Card, check: Check, name: str, value: Any, key: str, where: str) -> Any:
    try:
        return check(name, value)
    except RequestError as problem:
        raise card.error(f"{where}{str(problem).removeprefix('--')}", key) from None


def _axes(card: Card, matrix: Any, known: Sequence[str], defaults: Mapping[str, Any]) -> dict[str, list[Any]]:
    if not isinstance(matrix, dict):
        raise card.error(f"'matrix' must give lists for {', '.join(known)}", "matrix")
    for key in matrix:
        if key not in known:
            raise card.error(f"unknown axis '{key}': known are {', '.join(known)}", "matrix")
    axes = {}
    for axis in known:
        if axis not in matrix and axis not in defaults:
            raise card.error(f"the matrix requires the axis '{axis}'", "matrix")
        axes[axis] = listed(matrix.get(axis, defaults.get(axis)))
        if not axes[axis]:
            raise card.error(f"the axis '{axis}' is empty", "matrix")
    return axes
