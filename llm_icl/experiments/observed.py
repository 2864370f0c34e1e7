"""The queries of problems that were asked anyway, as a design: positions, grouped by their number of examples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Candidate, Design
from llm_icl.analysis.identification.structure import evenly
from llm_icl.experiments.candidates import algorithms, probability_of
from llm_icl.function_classes.base import function_class_of
from llm_icl.learners.base import Learner
from llm_icl.learners.bayes import ExactBayes
from llm_icl.problems import Problems, Task

Floats = NDArray[np.float64]

# Numbers of examples are grouped by doubling, from this one on: 4 to 7, 8 to 15, …
FIRST = 4
# What is used at most, so that a verdict takes seconds: problems, answers, and queries of a problem in each group.
PROBLEMS, ANSWERS, QUERIES = 64, 768, 8
# Exact Bayes that was not asked anyway is a candidate up to so many functions.
FUNCTIONS = 2**12


@dataclass(frozen=True)
class Observed:
    """A design of unseen queries (M groups, C problems, Q), and the candidates that would have taken too long."""

    design: Design
    left_out: tuple[str, ...]

    @property
    def before(self) -> NDArray[np.int64]:
        """The number of examples before each query, (M, C, Q); -1 where there is no query."""
        assert self.design.before is not None
        return self.design.before

    @property
    def queries(self) -> int:
        return int((self.before >= 0).sum())

    def taken(self, values: Floats) -> Floats:
        """Of values (N, m) at all positions of the problems, those of the design (M, C, Q); NaN without a query."""
        rows = np.arange(self.before.shape[1])[:, None]
        return np.where(self.before >= 0, values[rows, self.before], np.nan)


def observed(parts: Sequence[Problems], positions: Sequence[int], asked: Mapping[str, Floats]) -> Observed | None:
    """The unseen queries at these positions of the first problems, with the answers of all candidates for their task.

    The parts are problems of one task and n, of several seeds; `asked` are P(y = 1) (N, m) at all positions, of all
    parts together, of learners that were asked anyway, by name. None if no position has FIRST examples.
    """
    problems = _together(parts)[:PROBLEMS]
    before = _queries(problems.seen, positions)
    if before is None:
        return None
    candidates, left_out = [], []
    design = _design(problems, before)
    known = Observed(design, ())
    for algorithm in algorithms(problems.task, problems.n, searched=False):
        if algorithm.name in asked:
            probability = np.nan_to_num(known.taken(asked[algorithm.name]))[None]
        elif _takes_long(algorithm.learners[0], problems.task, problems.n):
            left_out.append(algorithm.name)
            continue
        else:
            probability = np.stack([_answers(learner, problems, before) for learner in algorithm.learners])
        candidates.append(Candidate(algorithm.name, probability, algorithm.variants))
    return Observed(replace(design, candidates=tuple(candidates)), tuple(left_out))


def _together(parts: Sequence[Problems]) -> Problems:
    """Problems of several seeds as one; their indices repeat."""
    xs, ys, shown, taught, indices = (
        np.concatenate([getattr(part, key) for part in parts]) for key in ("xs", "ys", "shown", "taught", "indices")
    )
    parameters = {key: np.concatenate([part.parameters[key] for part in parts]) for key in parts[0].parameters}
    return replace(parts[0], xs=xs, ys=ys, shown=shown, taught=taught, indices=indices, parameters=parameters)


def _queries(seen: NDArray[np.bool_], positions: Sequence[int]) -> NDArray[np.int64] | None:
    """The positions (M, C, Q) that are used, evenly spread over the unseen ones of each group; -1 for none.

    A group has an answer for every problem, on average.
    """
    at, problems = np.array(positions), len(seen)
    starts = [FIRST * 2**k for k in range(60) if FIRST * 2**k <= at.max(initial=0)]
    unseen = [[row[~seen[i, row]] for i in range(problems)] for row in (at[(at >= a) & (at < 2 * a)] for a in starts)]
    unseen = [group for group in unseen if sum(map(len, group)) >= problems]
    if not unseen:
        return None
    most = int(np.clip(ANSWERS // (problems * len(unseen)), 1, QUERIES))
    before = np.full((len(unseen), problems, most), -1)
    for m, group in enumerate(unseen):
        for i, there in enumerate(group):
            chosen = there[evenly(len(there), most)] if len(there) else there
            before[m, i, : len(chosen)] = chosen
    return before


def _design(problems: Problems, before: NDArray[np.int64]) -> Design:
    """The queries without candidates."""
    queries = problems.xs[np.arange(len(problems))[:, None], before]
    sizes = tuple(int(group[group >= 0].min()) for group in before)
    return Design(sizes, [problems.xs] * len(sizes), [problems.shown] * len(sizes), queries, (), before)


def _takes_long(learner: Learner, task: Task, n: int) -> bool:
    if not isinstance(learner, ExactBayes):
        return False
    assumed = learner.assumed(task)
    function_class = function_class_of(assumed, n)
    return function_class.count(n) > FUNCTIONS and not function_class.has_closed_form(assumed, n)


def _answers(learner: Learner, problems: Problems, before: NDArray[np.int64]) -> Floats:
    """P(y = 1) (M, C, Q); 0 where there is no query, 0 or 1 of learners that give labels only."""
    counts = np.unique(before[before >= 0])
    found = probability_of(learner.answer_at(problems, counts))  # (C, counts)
    rows = np.arange(len(problems))[:, None]
    return np.where(before >= 0, found[rows, np.searchsorted(counts, before)], 0.0)
