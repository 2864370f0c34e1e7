"""The options of experiments, declared once: a dataclass with a docstring under each field.

Command-line options, keys of suites, arguments of the Python API and the reference page are generated from it, with the
same validation and the same error messages.
"""

import ast
import dataclasses
import inspect
import math
import numbers
import textwrap
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Self

from llm_icl.config.specs import whole_numbers
from llm_icl.errors import RequestError, unknown_name

# The largest integer that a float represents exactly with all below it.
_MAX = 2**53
_KINDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def option(
    default: Any = dataclasses.MISSING, *, minimum: float | None = None, maximum: float | None = None,
    above: float | None = None, shown: str = "", exists: Literal["", "folder", "file", "either"] = "",
) -> Any:  # fmt: skip
    """A field with bounds. `shown` describes the default in words."""
    limits = {"minimum": minimum, "maximum": maximum, "above": above, "shown": shown, "exists": exists}
    return dataclasses.field(default=default, metadata=limits)


@dataclass(frozen=True)
class Declared:
    """One declared option. `kind` is the type of a value, or of each of `several`; `choices` are the allowed words, if
    limited.
    """

    name: str
    kind: type
    several: bool
    optional: bool
    choices: tuple[str, ...]
    default: Any
    minimum: float | None
    maximum: float | None
    above: float | None
    shown: str
    exists: str
    text: str

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def limits(self) -> str:
        """The limits in words, such as "at least 1"; empty without limits."""
        words = [f"at least {self.minimum:,}"] if self.minimum is not None else []
        words += [f"above {self.above:,}"] if self.above is not None else []
        words += [f"at most {self.maximum:,}"] if self.maximum is not None else []
        return " and ".join(words)

    def value(self, given: Any) -> Any:
        """Convert a value to the field's type. Raises RequestError if it is invalid."""
        if given is None and self.optional:
            return None
        if not self.several:
            return self._one(given)
        items = list(given) if isinstance(given, list | tuple | range) else [given]
        if not items and self.default != ():
            raise RequestError(f"{self.flag} is empty")
        if self.kind is int:
            if not all(isinstance(item, str) or _is_whole(item) for item in items):
                raise self._wrong(given)
            return whole_numbers(self.flag, [str(item) for item in items], int(self.minimum or 0)) if items else ()
        return tuple(self._one(item) for item in items)

    def _one(self, given: Any) -> Any:
        if self.kind is Path and isinstance(given, str | Path):
            return self._path(Path(given))
        if self.kind in (int, float) and _is_whole(given):
            given = int(given)
            if abs(given) > _MAX:
                raise RequestError(
                    f"{self.flag} {str(given)[:20]} is out of range{f': {self.limits}' if self.limits else ''}"
                )
            given = self.kind(given)
        if self.kind is str and type(given) in (int, float):
            given = str(given)
        if type(given) is not self.kind or (isinstance(given, float) and not math.isfinite(given)):
            raise self._wrong(given)
        if self.choices and given not in self.choices:
            raise RequestError(f"{self.flag} must be one of {', '.join(self.choices)}, not {given!r}")
        if isinstance(given, int | float) and not self._allowed(given):
            raise RequestError(f"{self.flag} {given} is out of range: {self.limits}")
        return given

    def _path(self, path: Path) -> Path:
        """Raises RequestError if what must exist does not."""
        kinds = {
            "folder": ("folder", Path.is_dir),
            "file": ("file", Path.is_file),
            "either": ("file or folder", Path.exists),
        }
        if self.exists:
            name, there = kinds[self.exists]
            try:
                found = there(path)
            except (OSError, ValueError):  # such as a name that is too long for one
                found = False
            if not found:
                raise RequestError(f"{self.flag} {str(path)[:200]}: there is no such {name}")
        return path

    def _allowed(self, number: float) -> bool:
        low = self.minimum is None or number >= self.minimum
        return low and (self.maximum is None or number <= self.maximum) and (self.above is None or number > self.above)

    def _wrong(self, given: Any) -> RequestError:
        kind = f"{self.kind.__name__.lower()}" if self.kind not in _KINDS else _KINDS[self.kind]
        return RequestError(f"{self.flag} must be {kind}{f', {self.limits}' if self.limits else ''}, not {given!r}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The base of all option classes."""

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Build from values by name (hyphens or underscores). Raises RequestError for the first invalid one."""
        known = {one.name: one for one in declared(cls)}
        given = {key.replace("-", "_"): value for key, value in values.items()}
        for key in given:
            if key not in known:
                raise unknown_name("option", key, known)
        for one in known.values():
            if one.required and given.get(one.name) in (None, (), []):
                raise RequestError(cls.missing(one.name, given))
        return cls(**{key: known[key].value(value) for key, value in given.items()})

    @classmethod
    def missing(cls, name: str, values: Mapping[str, Any]) -> str:
        """The error message for a missing required option."""
        return f"--{name.replace('_', '-')} is missing"


def _is_whole(value: Any) -> bool:
    """Whether it is an integer of Python or NumPy."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def declared(options: type[Options]) -> tuple[Declared, ...]:
    """The options of a class, in source order; those of its bases come last."""
    hints = typing.get_type_hints(options)
    texts = {name: text for base in reversed(options.__mro__) for name, text in _docstrings(base).items()}
    own = [name for base in options.__mro__ for name in inspect.get_annotations(base)]
    fields = {field.name: field for field in dataclasses.fields(options)}
    return tuple(_declared(fields[name], hints[name], texts.get(name, "")) for name in dict.fromkeys(own))


def _declared(field: dataclasses.Field[Any], hint: Any, text: str) -> Declared:
    optional = several = False
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        optional = type(None) in typing.get_args(hint)
        (hint,) = [kind for kind in typing.get_args(hint) if kind is not type(None)]
    if typing.get_origin(hint) is tuple:
        several, hint = True, typing.get_args(hint)[0]
    choices = typing.get_args(hint) if typing.get_origin(hint) is Literal else ()
    limits = {key: field.metadata.get(key) for key in ("minimum", "maximum", "above")}
    return Declared(
        field.name, str if choices else hint, several, optional, choices, field.default,
        shown=field.metadata.get("shown", ""), exists=field.metadata.get("exists", ""), text=text, **limits,
    )  # fmt: skip


@cache
def _docstrings(cls: type) -> dict[str, str]:
    """The docstring under each field of a class, which Python itself does not keep."""
    if cls is object:
        return {}
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found = {}
    for field, text in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
            found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found
