"""What was found, as a file: the identifiability of the candidates, and the verdict on each subject."""

import dataclasses
import json
import math
import types
import typing
from collections.abc import Collection
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from llm_icl.analysis.identification.result import Identification
from llm_icl.analysis.identification.separation import Separation
from llm_icl.analysis.intervals import Estimate
from llm_icl.config.files import write_text
from llm_icl.config.specs import any_of, counted
from llm_icl.errors import RequestError

NAME = "findings.json"
FORMAT = 1


@dataclass(frozen=True)
class Found:
    """One subject: the share of questions that it answered, whether by probabilities, and what was identified, if
    there were enough answers.
    """

    subject: str
    answered: float
    probabilities: bool
    identification: Identification | None


@dataclass(frozen=True)
class Identifiability:
    """Of each candidate (rows) against each (columns): nats per problem, and the problems that tell them apart with
    95 % power, infinite if none can; and the groups that the problems of this run cannot tell apart.
    """

    names: tuple[str, ...]
    nats: tuple[tuple[float, ...], ...]
    needed: tuple[tuple[float, ...], ...]
    groups: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, separation: Separation, problems: int) -> "Identifiability":
        def rows(matrix: Any) -> tuple[tuple[float, ...], ...]:
            return tuple(tuple(map(float, row)) for row in matrix)

        groups = tuple(separation.groups(problems))
        return cls(separation.names, rows(separation.nats), rows(separation.needed), groups)

    def untold(self, problems: int) -> list[str]:
        """What so many problems do not tell apart: each group, and how many pairs of different groups."""
        found = [any_of(group) for group in self.groups if len(group) > 1]
        home = {name: i for i, group in enumerate(self.groups) for name in group}
        further = sum(
            home[one] != home[other] and self._confused(i, j, problems)
            for (i, one), (j, other) in combinations(enumerate(self.names), 2)
        )
        if further:
            pairs = counted(further, "other pair" if found else "pair")
            found.append(f"{pairs}, if one of the two is the truth")
        return found

    def like(self, named: Collection[str], problems: int) -> list[str]:
        """The other candidates that so many problems do not tell from one of these, if one of the two is the truth."""
        own = [i for i, name in enumerate(self.names) if name in named]
        return [
            name
            for j, name in enumerate(self.names)
            if name not in named and any(self._confused(i, j, problems) for i in own)
        ]

    def _confused(self, i: int, j: int, problems: int) -> bool:
        return max(self.needed[i][j], self.needed[j][i]) > problems


@dataclass(frozen=True)
class Cell:
    """All subjects on the same probes. `source` is the file of answers that they come from, if any."""

    task: str
    n: int
    seed: int
    examples: tuple[int, ...]
    contexts: int
    queries: int
    source: str
    identifiability: Identifiability
    found: tuple[Found, ...]
    seen: tuple[float, ...] = ()
    """The share of the queries that stand among the examples, for each of `examples`; files of earlier versions do not
    say.
    """
    design: str = ""
    """What tells it from another cell of a report on the same task and n; empty in a file."""

    @property
    def origin(self) -> str:
        """What a heading says of the file of answers."""
        return f", answers of {self.source}" if self.source else ""

    @property
    def title(self) -> str:
        seed = f", seed {self.seed}" if self.seed else ""
        design = f", {self.design}" if self.design else ""
        return f"{self.task}, n = {self.n}{seed}{self.origin}{design}"


def write_findings(folder: Path, cells: typing.Sequence[Cell]) -> None:
    data = {"format": FORMAT, "cells": [_plain(dataclasses.asdict(cell)) for cell in cells]}
    write_text(folder / NAME, json.dumps(data, indent=1, allow_nan=False) + "\n")


def read_findings(folder: Path) -> list[Cell]:
    """Raises RequestError if the file cannot be read."""
    path = folder / NAME
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise RequestError(f"{path} was written by another version: re-run its command with another --out")
        return [_typed(Cell, cell) for cell in data["cells"]]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise RequestError(f"{path} cannot be read: {problem}") from None


def _plain(value: Any) -> Any:
    """JSON has no special numbers: null for NaN, "infinity" and "-infinity"."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "infinity" if value > 0 else "-infinity"
    return value


def _typed(kind: Any, value: Any) -> Any:
    """The value of a field's type, from plain data."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        (known,) = [part for part in inner if part is not type(None)]
        return None if value is None else _typed(known, value)
    if kind is float:
        return math.nan if value is None else float(str(value))
    if kind is Estimate:
        return Estimate(*(_typed(float, part) for part in value))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        fields = {
            field.name: _typed(hints[field.name], value[field.name])
            for field in dataclasses.fields(kind)
            if field.name in value
        }
        return kind(**fields)
    if origin in (tuple, list):
        return origin(_typed(inner[0], part) for part in value)
    if origin is dict:
        return {key: _typed(inner[1], part) for key, part in value.items()}
    return value
