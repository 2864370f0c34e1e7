"""YAML cards (tasks, suites, the front matter of prompts), with errors that name the file and the line."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import SafeConstructor

from llm_icl.config.secrets import holds_key
from llm_icl.config.texts import read_text
from llm_icl.errors import RequestError, nearest

_FRONT = re.compile(r"\A---\n(.*?)^---(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_LONGEST_MESSAGE = 1000
# Characters of a file, and values that it may hold, each alias counted with all that it stands for.
_LONGEST_CARD = 2_000_000
_MOST_VALUES = 50_000
# Numbers that begin with a zero are octal to YAML, those with colons are minutes and seconds.
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OTHER_BASE = re.compile(r"[-+]?0[0-7_]+$|.*:")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Card:
    """The fields of one card, and their line numbers."""

    where: str
    fields: Mapping[str, Any]
    lines: Mapping[str, int]

    def error(self, message: str, key: str = "") -> RequestError:
        line = self.lines.get(key)
        shown = message if len(message) < _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]} …"
        return RequestError(f"{self.where}{f', line {line}' if line else ''}: {shown}")

    def only(self, allowed: Iterable[str], needed: Iterable[str] = ()) -> "Card":
        """Raise RequestError for unknown and for missing fields."""
        known = list(allowed)
        for key in self.fields:
            if key not in known:
                raise self.error(f"unknown field '{key}': {nearest(str(key), known)}known are {', '.join(known)}", key)
        for key in needed:
            if key not in self.fields:
                raise RequestError(f"{self.where}, line 1: the field '{key}' is missing")
        return self

    def text(self, key: str, default: str = "") -> str:
        value = self.fields.get(key, default)
        if not isinstance(value, str):
            raise self.error(f"'{key}' must be text, not {value!r}", key)
        return value

    def probability(self, key: str, default: float) -> float:
        value = self.fields.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            raise self.error(f"'{key}' must be a probability between 0 and 1, not {value!r}", key)
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.fields.get(key, default)
        if not isinstance(value, bool):
            raise self.error(f"'{key}' must be true or false, not {value!r}", key)
        return value


def read_card(path: Path) -> Card:
    """The card of a YAML file."""
    return parse_card(read_text(path), str(path))


@dataclass(frozen=True)
class Document:
    """A text file with a front matter: its card, the text after it, and the number of lines before that text."""

    card: Card
    body: str
    skipped: int


def read_document(path: Path) -> Document:
    """The front matter between two lines of --- and what follows it; without one the card is empty."""
    text = read_text(path)
    front = _FRONT.match(text)
    if text.startswith("---\n") and not front:
        raise RequestError(f"{path}, line 1: the front matter is not closed: add a line of ---")
    end = front.end() if front else 0
    if len(text) > _LONGEST_CARD:
        raise RequestError(f"{path} is too large: {len(text):,} characters, at most {_LONGEST_CARD:,}")
    _refuse_keys(text[end:], str(path), text[:end].count("\n") + 1)
    return Document(parse_card(front[1] if front else "", str(path), first_line=2), text[end:], text[:end].count("\n"))


def _refuse_keys(text: str, where: str, first_line: int) -> None:
    """Raise RequestError, without repeating it, if a text that a user wrote holds a key."""
    if holds_key(text):
        line = next((i for i, one in enumerate(text.splitlines(), first_line) if holds_key(one)), first_line)
        raise RequestError(
            f"{where}, line {line}: holds an API key or password: keys belong into environment variables"
        )


def _values(node: yaml.Node, sizes: dict[int, float]) -> float:
    """The number of values that a document stands for: without end if an alias holds itself."""
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = math.inf  # while it is counted
    parts = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        parts = [part for pair in node.value for part in pair]
    sizes[id(node)] = 1 + sum(_values(part, sizes) for part in parts)
    return sizes[id(node)]


def _texts(node: yaml.Node) -> Iterator[str]:
    """All that is written in a document with quotes or escapes."""
    if isinstance(node, yaml.ScalarNode):
        if node.style in ("'", '"'):
            yield node.value
        return
    for part in node.value:
        for one in part if isinstance(part, tuple) else (part,):
            yield from _texts(one)


def _refuse_misread(node: yaml.Node, where: str, first_line: int) -> None:
    """Raise RequestError where YAML reads something else than people do: the last of a doubled key, and 8 for 010."""
    line = f"{where}, line {node.start_mark.line + first_line}"
    if isinstance(node, yaml.ScalarNode):
        if node.tag in _NUMBERS and _OTHER_BASE.match(node.value):
            raise RequestError(f"{line}: YAML reads {node.value} to another base: write the number itself, or quotes")
        return
    keys: dict[Any, str] = {}
    for part in node.value:
        if isinstance(part, tuple) and isinstance(part[0], yaml.ScalarNode):
            key, written = SafeConstructor().construct_object(part[0]), part[0].value
            if key in keys:
                place = f"{where}, line {part[0].start_mark.line + first_line}"
                twice = "appears twice" if keys[key] == written else f"is the same as '{keys[key]}'"  # 1, 1.0 and true
                raise RequestError(f"{place}: the field '{written}' {twice}")
            keys[key] = written
        for one in part if isinstance(part, tuple) else (part,):
            _refuse_misread(one, where, first_line)


def parse_card(text: str, where: str, first_line: int = 1) -> Card:
    """Read a YAML mapping; `first_line` is where the text begins in its file."""
    if len(text) > _LONGEST_CARD:
        raise RequestError(f"{where} is too large for a card: {len(text):,} characters, at most {_LONGEST_CARD:,}")
    _refuse_keys(text, where, first_line)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node and _values(node, {}) > _MOST_VALUES:
            raise RequestError(f"{where}: aliases (*name) that repeat more than {_MOST_VALUES:,} values, or themselves")
        fields = loader.construct_document(node) if node else None
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark
        line = f", line {mark.line + first_line}" if mark else ""
        raise RequestError(f"{where}{line}: not valid YAML: {problem.problem}") from None
    except RecursionError:
        raise RequestError(f"{where}: not valid YAML: nested too deeply") from None
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as problem:  # as invalid dates do
        raise RequestError(f"{where}: not valid YAML: {problem}") from None
    finally:
        loader.dispose()
    if node is None or fields is None:
        return Card(where, {}, {})
    if any(map(holds_key, _texts(node))):  # also where quotes hide it in the text
        raise RequestError(f"{where}: holds an API key or password: keys belong into environment variables")
    if not isinstance(fields, dict):
        raise RequestError(f"{where}, line {first_line}: a card must be a list of 'field: value' lines")
    _refuse_misread(node, where, first_line)
    lines = {key.value: key.start_mark.line + first_line for key, _ in node.value}
    return Card(where, {str(key): value for key, value in fields.items()}, lines)
