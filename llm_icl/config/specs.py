"""Names with options: `majority,conjunction:noise=0.1,bias=0.7,nearest-neighbour:k=3`."""

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from llm_icl.errors import RequestError, nearest

Value = str | int | float | bool
T = TypeVar("T")

_KINDS = {int: "a whole number", float: "a number", str: "a word", bool: "true or false"}

# Options follow a colon; these prefixes carry free text instead, which may hold commas and colons of its own.
FREE_TEXT = ("expr", "table")


@dataclass(frozen=True)
class Spec:
    """A name with the options that follow it."""

    name: str
    options: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        if self.name in FREE_TEXT:
            return f"{self.name}: {dict(self.options)['text']}"
        options = ",".join(f"{key}={written(value)}" for key, value in self.options)
        return f"{self.name}:{options}" if options else self.name

    def mapping(self) -> dict[str, Value]:
        return dict(self.options)


def parse_specs(texts: Iterable[str]) -> list[Spec]:
    """Read repeated options and comma lists into specs, in order and without repeats."""
    specs = [spec for text in texts for spec in _parse_list(text)]
    return list(dict.fromkeys(specs))


def canonical_name(name: str) -> str:
    """The canonical spelling of a name: British, with hyphens. American spellings and underscores are accepted."""
    if "/" in name:  # a path, or ORGANISATION/NAME
        return name.strip()
    return name.strip().lower().replace("_", "-").replace("neighbor", "neighbour")


def parse_value(text: str) -> Value:
    """Parse a number or truth value; other text is returned unchanged."""
    if text.lower() in ("true", "yes"):
        return True
    if text.lower() in ("false", "no"):
        return False
    for convert in (int, float):
        try:
            return convert(text)
        except ValueError:
            continue
    return text


def make(kind: str, name: str, entry: Callable[..., T], options: Mapping[str, Any]) -> T:
    """Build an entry from its options. Raises RequestError for an unknown, missing or mistyped one."""
    parameters = inspect.signature(entry).parameters
    given = {key.replace("-", "_"): value for key, value in options.items()}
    only_known(kind, name, given, parameters)
    for key, parameter in parameters.items():
        if key not in given:
            if parameter.default is parameter.empty:
                raise RequestError(f"{kind} '{name}' requires the option '{key}'")
            continue
        if parameter.annotation is float and type(given[key]) is int:
            given[key] = float(given[key])
        if type(given[key]) is not parameter.annotation:
            raise RequestError(f"{kind} '{name}': {key} must be {_KINDS[parameter.annotation]}, not '{given[key]}'")
    return entry(**given)


def only_known(kind: str, name: str, options: Mapping[str, object], allowed: Iterable[str]) -> None:
    """Raise RequestError, with the nearest allowed one, for an unknown option."""
    known = sorted(key.replace("_", "-") for key in allowed)
    for key in (key.replace("_", "-") for key in options):
        if key not in known:
            options_are = f"{nearest(key, known)}options are {', '.join(known) or 'none'}"
            raise RequestError(f"{kind} '{name}' has no option '{key}': {options_are}")


def _parse_list(text: str) -> list[Spec]:
    prefix, colon, rest = text.partition(":")
    if colon and prefix.strip().lower() in FREE_TEXT:
        return [Spec(prefix.strip().lower(), (("text", rest.strip()),))]
    specs: list[Spec] = []
    for piece in text.split(","):
        if not piece.strip():
            raise RequestError(f"an empty name in '{text}'")
        head, colon, tail = piece.partition(":")
        if colon:
            specs.append(Spec(canonical_name(head), (_parse_option(tail, text),)))
        elif "=" in piece and specs:  # a further option of the name before it
            specs[-1] = Spec(specs[-1].name, (*specs[-1].options, _parse_option(piece, text)))
        else:
            specs.append(Spec(canonical_name(piece)))
    return specs


def _parse_option(piece: str, text: str) -> tuple[str, Value]:
    key, equals, value = piece.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise RequestError(f"'{piece.strip()}' in '{text}' is not an option: write NAME:option=value,option=value")
    return canonical_name(key), parse_value(value.strip())


def written(value: Value) -> str:
    """Format an option's value as in a spec."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def counted(number: int, word: str) -> str:
    """1 call, 2 calls."""
    return f"{number} {word}" if number == 1 else f"{number:,} {word}s"


def span_of(counts: Collection[int]) -> str:
    """3 to 1,200, or 7 if all are."""
    low, high = min(counts), max(counts)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def any_of(names: Sequence[str]) -> str:
    """a, b or c."""
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else "".join(names)


def whole_numbers(option: str, texts: Sequence[str], minimum: int) -> tuple[int, ...]:
    """Numbers from repeated options and comma lists, in order and without repeats."""
    numbers = []
    for piece in (piece.strip() for text in texts for piece in text.split(",")):
        try:
            numbers.append(int(piece))
        except ValueError:
            raise RequestError(f"{option} {piece!r} is not a whole number") from None
        if not minimum <= numbers[-1] < 2**32:
            raise RequestError(f"{option} {piece} is out of range: {minimum} to 2^32 - 1")
    return tuple(dict.fromkeys(numbers))
