"""Answers that were collected elsewhere, to probes of `llm-icl sample --task probe:TASK`."""

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llm_icl.analysis.identification.data import Candidate, Design
from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.config.rows import Row, contradiction, label_of, read_rows
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.candidates import algorithm_at, algorithms
from llm_icl.experiments.identification.answered import Answered, labelled
from llm_icl.experiments.identification.probes import Probes
from llm_icl.experiments.setting import Setting
from llm_icl.problems import Bits, Problems, Task
from llm_icl.tasks.cards import load_task

log = logging.getLogger(__name__)

_TOO_LARGE = 2**63
# Probabilities are written with six digits, and processors differ in the last ones.
_SAME = 1e-3
NEEDED = ("task", "n", "seed", "problem", "examples", "probe", "inputs", "labels", "query")


@dataclass(frozen=True)
class AnswersFile:
    """A file of probes with answers: the rows of each task, n and seed."""

    path: Path
    fingerprint: str
    settings: tuple[tuple[Setting, tuple[Row, ...]], ...]

    @property
    def name(self) -> str:
        return self.path.stem

    @classmethod
    def read(cls, path: Path, tasks_dir: Path | None = None) -> "AnswersFile":
        """From JSON lines, Parquet, or a Hugging Face dataset folder. Raises RequestError, with the row, or for a task
        that is unknown here.
        """
        rows = read_rows(path)
        if not rows:
            raise RequestError(f"{path} has no rows")
        for number, row in enumerate(rows, 1):
            if reason := _fault(row):
                raise RequestError(f"{path}, row {number}: {reason}")
        if not any(_answered(row) for row in rows):
            raise RequestError(f"{path} has no answers: fill in 'answer' (0 or 1) or 'probability' (of answer 1)")
        content = json.dumps([dict(row) for row in rows], sort_keys=True, default=str)
        by_setting: dict[tuple[str, int, int], list[Row]] = defaultdict(list)
        for row in rows:
            by_setting[row["task"], row["n"], row["seed"]].append(row)
        settings = tuple(
            (Setting(_task(name, tasks_dir), n, seed), tuple(some)) for (name, n, seed), some in by_setting.items()
        )
        return cls(path, hashlib.sha256(content.encode()).hexdigest(), settings)


@dataclass(frozen=True)
class Collected:
    """The probes of a file in one setting, and the answers of each subject."""

    probes: Probes
    answered: dict[str, Answered]


def collected(file: AnswersFile, setting: Setting, rows: Sequence[Row], names: Sequence[str]) -> Collected:
    """Raises RequestError if contexts are inconsistent or too few, if a row's bits are not those of its prompt, or if a
    candidate does not apply.
    """
    places = _Places(file, rows)
    problems = [places.contexts(setting, m) for m in places.sizes]
    queries = places.queries(setting.n)
    chosen = names or tuple(_beside(rows[0]))
    candidates = algorithms(setting.task, setting.n, chosen)
    if len(candidates) < 2:
        raise RequestError(f"{file.path}: one candidate is not enough, name several")
    asked = tuple(algorithm_at(algorithm, problems, queries) for algorithm in candidates)
    places.check(asked)
    design = Design(tuple(places.sizes), [p.xs for p in problems], [p.shown for p in problems], queries, asked)
    by_subject: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_subject[file.name if row.get("model") in (None, "") else str(row["model"])].append(row)
    answered = {subject: places.answers(some) for subject, some in by_subject.items() if any(map(_answered, some))}
    return Collected(Probes(tuple(problems), design), answered)


class _Places:
    """Where each row of a setting belongs: its number of examples, problem and probe."""

    def __init__(self, file: AnswersFile, rows: Sequence[Row]) -> None:
        self.path = file.path
        self.sizes = sorted({int(row["examples"]) for row in rows})
        self.problems = sorted({int(row["problem"]) for row in rows})
        self.probes = sorted({int(row["probe"]) for row in rows})
        self.first: dict[tuple[int, int, int], Row] = {}
        for row in rows:
            place = self._place(row)
            first = self.first.setdefault(place, row)
            if any(list(first[key]) != list(row[key]) for key in ("inputs", "labels", "query")):
                raise RequestError(f"{file.path}: {_named(row)} has different inputs, labels or queries in two rows")
        for m in self.sizes:
            for problem in self.problems:
                if len({json.dumps([list(map(list, row["inputs"])), list(row["labels"])])
                        for row in self._of_context(m, problem)}) != 1:  # fmt: skip
                    where = f"problem {problem} at {m} examples"
                    raise RequestError(f"{file.path}: {where} is missing, or has several contexts")

    def contexts(self, setting: Setting, m: int) -> Problems:
        rows = [self._of_context(m, problem)[0] for problem in self.problems]
        xs = np.array([row["inputs"] for row in rows], dtype=np.uint8).reshape(len(rows), m, setting.n)
        labels = np.array([row["labels"] for row in rows], dtype=np.uint8).reshape(len(rows), m)
        indices, taught = np.array(self.problems), np.zeros(len(rows), dtype=np.int64)
        return Problems(setting.task, setting.n, setting.seed, xs, labels, labels, taught, indices, {}, max(self.sizes))

    def queries(self, n: int) -> Bits:
        """(M, C, Q, n); a probe that is missing is another of its context, which nobody answered."""
        found = np.empty((len(self.sizes), len(self.problems), len(self.probes), n), dtype=np.uint8)
        for (m, c, q), row in self._all():
            found[m, c, q] = row["query"]
        return found

    def check(self, candidates: Iterable[Candidate]) -> None:
        """A row keeps what candidates answer to the query of its prompt: where they answer otherwise to the query that
        it states, its answer is to another one.
        """
        answers = {candidate.name: candidate.middle for candidate in candidates}
        for place, row in self.first.items():
            for name, stated in _beside(row).items():
                if name in answers and abs(stated - (found := answers[name][place])) > _SAME:
                    raise RequestError(
                        f"{self.path}: {_named(row)}: {name} answers {found:g} there, not {stated:g} as the row says: "
                        "was its query changed? Without 'candidates' the row is taken as it is"
                    )

    def answers(self, rows: Iterable[Row]) -> Answered:
        """Of several probabilities of a probe the mean counts: the order of rows says nothing."""
        given: dict[tuple[int, int, int], list[Row]] = defaultdict(list)
        for row in filter(_answered, rows):
            given[self._place(row)].append(row)
        shape = len(self.sizes), len(self.problems), len(self.probes)
        with_probability = [row.get("probability") is not None for some in given.values() for row in some]
        if any(with_probability) and not all(with_probability):
            log.warning("%s: %d of %d answers have a probability: all are read as labels",
                        self.path, sum(with_probability), len(with_probability))  # fmt: skip
        if all(with_probability):
            probabilities = np.full(shape, np.nan)
            for place, some in given.items():
                probabilities[place] = np.mean([row["probability"] for row in some])
            return Answered(probabilities, True)
        count, ones = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
        for place, some in given.items():
            labels = [label for row in some if (label := _label(row)) is not None]
            count[place], ones[place] = len(labels), sum(labels)
        return labelled(Repeats(count, ones))

    def _place(self, row: Row) -> tuple[int, int, int]:
        return (
            self.sizes.index(int(row["examples"])),
            self.problems.index(int(row["problem"])),
            self.probes.index(int(row["probe"])),
        )

    def _of_context(self, m: int, problem: int) -> list[Row]:
        size, place = self.sizes.index(m), self.problems.index(problem)
        found = (self.first.get((size, place, q)) for q in range(len(self.probes)))
        return [row for row in found if row]

    def _all(self) -> Iterable[tuple[tuple[int, int, int], Row]]:
        for m, size in enumerate(self.sizes):
            for c, problem in enumerate(self.problems):
                some = self._of_context(size, problem)
                for q in range(len(self.probes)):
                    yield (m, c, q), self.first.get((m, c, q), some[0])


def _task(name: str, tasks_dir: Path | None) -> Task:
    (spec,) = parse_specs([name])
    return load_task(spec, tasks_dir)


def _fault(row: Row) -> str:
    """Why a row cannot be used; empty if it can."""
    if missing := [key for key in NEEDED if row.get(key) is None]:
        return f"'{missing[0]}' is missing; expected are the fields of 'llm-icl sample --task probe:TASK'"
    whole = ("n", "seed", "problem", "examples", "probe")
    if wrong := [key for key in whole if type(row[key]) is not int or row[key] < (key in ("n", "examples"))]:
        return f"'{wrong[0]}' is not a whole number: {row[wrong[0]]!r}"
    if large := [key for key in whole if row[key] >= _TOO_LARGE]:
        return f"'{large[0]}' is too large: {row[large[0]]}"
    if not isinstance(row["task"], str) or "," in row["task"]:
        return f"'task' is not the name of a task: {row['task']!r}"
    candidates = row.get("candidates")
    if candidates is not None and not (isinstance(candidates, Mapping) and all(map(_maybe_share, candidates.values()))):
        return f"'candidates' does not map names to probabilities: {candidates!r}"
    inputs, labels, query, n = row["inputs"], row["labels"], row["query"], row["n"]
    try:
        shapes = np.shape(inputs), np.shape(labels), np.shape(query)
        bits = all(np.isin(each, (0, 1)).all() for each in (inputs, labels, query))
    except ValueError:
        shapes, bits = ((), (), ()), False
    if shapes != ((row["examples"], n), (row["examples"],), (n,)) or not bits:
        return f"'inputs', 'labels' and 'query' are not {row['examples']} inputs of {n} bits, their labels, and a query"
    probability, answer = row.get("probability"), row.get("answer")
    if not _maybe_share(probability):
        return f"'probability' is not a number from 0 to 1: {probability!r}"
    if answer is not None and label_of(answer) is None:
        return f"'answer' is not 0 or 1: {answer!r}"
    return contradiction(None if answer is None else label_of(answer), probability)


def _named(row: Row) -> str:
    return f"problem {row['problem']}, {row['examples']} examples, probe {row['probe']}"


def _maybe_share(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1)


def _beside(row: Row) -> dict[str, float]:
    """The candidates' answers beside a probe; a table of rows of several tasks has gaps."""
    return {name: float(p) for name, p in (row.get("candidates") or {}).items() if p is not None}


def _answered(row: Row) -> bool:
    return row.get("answer") is not None or row.get("probability") is not None


def _label(row: Row) -> int | None:
    """The label that was answered; with a probability only, the likelier one, if one is."""
    if row.get("answer") is not None:
        return label_of(row["answer"])
    return None if row["probability"] == 0.5 else int(row["probability"] > 0.5)
