"""Exact Bayes: the posterior predictive under the task's prior, the best possible learner."""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from llm_icl.config.specs import Spec
from llm_icl.errors import RequestError, WorkError
from llm_icl.function_classes import FunctionClass, TeachingSequence, function_class_of
from llm_icl.learners.base import Learner, learners
from llm_icl.learners.ceilings import inputs_are_informative
from llm_icl.problems import Answers, Bits, Parameters, Problems, Task
from llm_icl.tasks.cards import load_task

# Pairs (problem, hypothesis) per chunk.
_CHUNK = 2**20
LIMIT = 2**21
# The label noise that is assumed with a task other than the one that is asked.
_MISFIT = 0.05
# Probabilities this close to 0.5 are ties that rounding has split.
_TIE = 1e-12


@dataclass(frozen=True)
class ExactBayes(Learner):
    """P(y_k = 1 | x_0, y_0, …, x_k), in closed form if available, else by enumerating all functions.

    limit: the maximum number of functions to enumerate without a closed form. The prior is the law that problems are
    drawn from, with label noise and without rejected constants. Which of the two kinds is a ceiling on a task:
    `llm_icl.learners.ceilings`. task: the task whose prior is assumed, by default the one that is asked. The labels
    of another task need not fit any of its functions, so that label noise of 5 % is assumed with it.
    """

    limit: int = LIMIT
    task: str = "asked"

    knows_inputs: ClassVar[bool]

    def answer(self, problems: Problems) -> Answers:
        if refusal := self.refusal(problems.task, problems.n):
            raise RequestError(refusal)
        assumed = dataclasses.replace(problems, task=self.assumed(problems.task))
        return Answers.from_probability(posterior_predictive(assumed, self.knows_inputs))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        if refusal := self.refusal(contexts.task, contexts.n):
            raise RequestError(refusal)
        assumed = dataclasses.replace(contexts, task=self.assumed(contexts.task))
        return Answers.from_probability(predictive_at(assumed, queries, self.knows_inputs))

    def check(self) -> None:
        if self.limit < 1:
            raise RequestError(f"limit = {self.limit} is out of range: at least 1")
        if self.task != "asked":
            load_task(Spec(self.task))

    def assumed(self, task: Task) -> Task:
        """The task whose prior is assumed where `task` is asked."""
        if self.task == "asked":
            return task
        other = load_task(Spec(self.task))
        return dataclasses.replace(other, noise=max(other.noise, _MISFIT))

    def refusal(self, task: Task, n: int) -> str:
        task = self.assumed(task)
        if inputs_are_informative(task) and task.bias in (0, 1):
            return f"task '{task.name}' has deterministic inputs; exact Bayes requires 0 < bias < 1"
        if task.teaching > 0 and task.noise == 1 and not self.knows_inputs:
            return f"task '{task.name}' teaches with true labels, which are impossible at noise = 1 for bayes-labels"
        function_class = function_class_of(task, n)
        count = function_class.count(n)
        if count <= self.limit or function_class.has_closed_form(task, n):
            return ""
        size = "infinitely many" if np.isinf(count) else f"{count:.3g}"
        return f"task '{task.name}' has {size} functions at n = {n}; exact Bayes enumerates at most {self.limit:,}"

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        return True


@learners.register("bayes")
@dataclass(frozen=True)
class Bayes(ExactBayes):
    """Exact Bayes that knows how problems are drawn, inputs included: the ceiling, which no learner beats in
    expectation.

    Planted points and teaching sequences depend on the function, so they tell about it even without their labels. On a
    task of one function it knows the answers from the start. limit: the maximum number of functions to enumerate
    without a closed form.
    """

    knows_inputs = True


@learners.register("bayes-labels")
@dataclass(frozen=True)
class BayesLabels(ExactBayes):
    """Exact Bayes that takes the inputs as given and learns from the labels only.

    Where inputs are drawn independently of the function it equals `bayes`, and is the ceiling. With planted points or
    teaching sequences it is a reference and not a ceiling: a learner can be above it, by knowing how inputs are drawn
    or by a bias that happens to fit. It takes all labels to be equally noisy, a teacher's too. limit: as for `bayes`.
    """

    knows_inputs = False


def posterior_predictive(problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
    """P(y_k = 1 | x_0, y_0, …, x_k), (N, m). Raises WorkError if a problem is impossible under its own task."""
    function_class = function_class_of(problems.task, problems.n)
    if function_class.has_closed_form(problems.task, problems.n):
        probability = function_class.closed_form(problems, knows_inputs)
    else:
        weighed = Weighed.all_functions(problems, function_class, knows_inputs, problems.points)
        parts = [_weigh(chunk, function_class, weighed)[0] for chunk in weighed.chunks(problems)]
        probability = np.concatenate(parts)
    undefined = np.argwhere(~np.isfinite(probability))
    if len(undefined):
        i, k = undefined[0]
        raise _impossible(problems, i, f"up to point {k}")
    return _rounded(probability)


def predictive_at(problems: Problems, queries: Bits, knows_inputs: bool) -> NDArray[np.float64]:
    """P(y = 1) at queries (N, Q, n) after all m points of each problem, (N, Q). Raises WorkError as above."""
    function_class = function_class_of(problems.task, problems.n)
    if function_class.has_closed_form(problems.task, problems.n):
        probability = function_class.closed_form_at(problems, queries, knows_inputs)
    else:
        weighed = Weighed.all_functions(problems, function_class, knows_inputs, problems.points + 1)
        probability, start = np.empty(queries.shape[:2]), 0
        for chunk in weighed.chunks(problems):
            part = slice(start, start + len(chunk))
            _, pairs = _weigh(chunk, function_class, weighed)
            probability[part] = _at_queries(chunk, queries[part], function_class, weighed, pairs)
            start = part.stop
    undefined = np.argwhere(~np.isfinite(probability))
    if len(undefined):
        raise _impossible(problems, undefined[0][0], "with a query")
    return _rounded(probability)


def _impossible(problems: Problems, i: int, where: str) -> WorkError:
    return WorkError(
        f"task '{problems.task.name}': exact Bayes is undefined, as what problem {problems.indices[i]} shows {where} "
        "has probability 0 under this task"
    )


def _rounded(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    probability = np.where(np.abs(probability - 0.5) < _TIE, 0.5, probability)
    return np.clip(probability, 0.0, 1.0)  # sums in closed forms can round to just outside


@dataclass(frozen=True)
class Weighed:
    """All functions of a class with their prior log weights: their parameters, `function`, `weight` and, where they
    apply, `taught`, `mask`, `values` and `match`; and their teaching sequences, if the learner knows of them.
    """

    functions: Parameters
    lessons: TeachingSequence | None

    @classmethod
    def all_functions(
        cls, problems: Problems, function_class: FunctionClass, knows_inputs: bool, points: int
    ) -> "Weighed":
        """For problems of so many points, or as many as they were drawn with."""
        task = problems.task
        functions, prior = function_class.hypotheses(problems.n)
        if task.drop_constant:
            prior = np.where(function_class.is_constant(functions), 0.0, prior)
        functions, prior = _chosen(functions, prior > 0), np.log(prior[prior > 0])
        planted, teaching = (task.planted, task.teaching) if knows_inputs else (0.0, 0.0)
        lessons = None
        weighed = functions | {"weight": prior + _log(1 - teaching), "function": np.arange(len(prior))}
        if planted > 0:
            mask, values = function_class.planting(functions)
            match = np.logaddexp(_log(1 - planted), _log(planted) + planted_gain(mask, values, task.bias))
            weighed |= {"mask": mask, "values": values, "match": match}
        if teaching > 0:
            lessons = function_class.teaching_sequence(functions)
            fits = lessons.lengths <= max(points, problems.drawn)  # other lessons cannot be drawn
            weighed["taught"] = np.where(fits, prior + _log(teaching), -np.inf)
        return cls(weighed, lessons)

    def chunks(self, problems: Problems) -> Iterator[Problems]:
        """Problems in parts whose pairs with functions fit into memory."""
        chunk = max(1, _CHUNK // max(1, len(self.functions["function"])))
        for start in range(0, len(problems), chunk):
            yield problems[start : start + chunk]


def _weigh(
    problems: Problems, function_class: FunctionClass, weighed: Weighed
) -> tuple[NDArray[np.float64], Parameters]:
    """Update sequentially the log weights of all pairs (problem, function); impossible pairs are dropped.

    The posterior predictive (N, m), NaN where no function is possible, and the pairs after all points. A pair has a
    second log weight, `taught`, for a problem that begins with the teaching sequence of its function. A point's density
    is counted relative to that of an unplanted one.
    """
    task, (count, points) = problems.task, problems.ys.shape
    functions = weighed.functions
    pairs = {key: np.tile(value, (count, *[1] * (value.ndim - 1))) for key, value in functions.items()}
    pairs["problem"] = np.repeat(np.arange(count), len(functions["weight"]))
    probability = np.empty((count, points))
    for k in range(points):
        problem = pairs["problem"]
        x = problems.xs[problem, k] if count > 1 else problems.xs[:, k]  # (pairs, n), or (1, n) for all pairs
        in_lesson = _meet(pairs, x, k, task, weighed.lessons)
        label = function_class.evaluate(pairs, x[:, None, :])[:, 0]  # of (pairs, 1, n): (pairs,)
        probability[:, k] = _share_of_ones(pairs, label, count)

        right = label == problems.shown[problem, k]
        likelihood = np.where(right, _log(1 - task.noise), _log(task.noise))
        pairs["weight"] += likelihood
        possible = pairs["weight"] > -np.inf
        if "taught" in pairs:  # a teacher's labels carry no noise
            pairs["taught"] += np.where(in_lesson, np.where(right, 0.0, -np.inf), likelihood)
            possible |= pairs["taught"] > -np.inf
        if not possible.all():
            pairs = _chosen(pairs, possible)
    return probability, pairs


def _meet(pairs: Parameters, x: Bits, k: int, task: Task, lessons: TeachingSequence | None) -> NDArray[np.bool_]:
    """Update the log weights in place for point k, x (pairs, n) or (1, n); whether it is part of a lesson (pairs,)."""
    density: NDArray[np.float64] | float = 0.0
    if "match" in pairs:
        matches = ~(pairs["mask"] & (x != pairs["values"])).any(axis=-1)
        density = np.where(matches, pairs["match"], _log(1 - task.planted))
        pairs["weight"] += density
    if lessons is None:
        return np.zeros(len(pairs["function"]), dtype=bool)
    unplanted = np.array([_log(1 - task.bias), _log(task.bias)])[x].sum(axis=-1)
    function = pairs["function"]
    in_lesson = k < lessons.lengths[function]
    given = (lessons.xs[function, min(k, lessons.xs.shape[1] - 1)] == x).all(axis=-1)
    pairs["taught"] += np.where(in_lesson, np.where(given, -unplanted, -np.inf), density)
    return in_lesson


def _at_queries(
    problems: Problems, queries: Bits, function_class: FunctionClass, weighed: Weighed, pairs: Parameters
) -> NDArray[np.float64]:
    """P(y = 1) at queries (N, Q, n) from the pairs (problem, function) after all points, (N, Q)."""
    count, asked, n = queries.shape
    if "match" not in pairs and weighed.lessons is None:  # queries tell nothing by themselves: one product for all
        rows, inverse = np.unique(queries.reshape(-1, n), axis=0, return_inverse=True)
        mass = np.zeros((count, len(weighed.functions["function"])))
        mass[pairs["problem"], pairs["function"]] = np.exp(pairs["weight"] - _peaks(pairs, count)[pairs["problem"]])
        labels = function_class.evaluate(weighed.functions, rows[None])  # (F, rows)
        with np.errstate(invalid="ignore"):
            shares = (mass @ labels) / mass.sum(axis=1, keepdims=True)
        return shares[np.arange(count)[:, None], inverse.reshape(count, asked)]
    probability = np.empty((count, asked))
    for q in range(asked):
        met = pairs | {kind: pairs[kind].copy() for kind in ("weight", "taught") if kind in pairs}
        x = queries[pairs["problem"], q]
        _meet(met, x, problems.points, problems.task, weighed.lessons)
        label = function_class.evaluate(met, x[:, None, :])[:, 0]
        probability[:, q] = _share_of_ones(met, label, count)
    return probability


def _share_of_ones(pairs: Parameters, label: Bits, count: int) -> NDArray[np.float64]:
    """The share (count,) of each problem's weight that is on functions with label 1; NaN if it has no weight.

    The log weights of a problem are shifted in place so that the largest is 0: only their differences matter.
    """
    problem, kinds = pairs["problem"], [pairs[kind] for kind in ("weight", "taught") if kind in pairs]
    peak = _peaks(pairs, count)
    mass = np.zeros(len(problem))
    for log_weight in kinds:
        log_weight -= peak[problem]
        mass += np.exp(log_weight)
    total = np.bincount(problem, mass, minlength=count)
    ones = np.bincount(problem, mass * label, minlength=count)
    return np.divide(ones, total, out=np.full(count, np.nan), where=total > 0)


def _peaks(pairs: Parameters, count: int) -> NDArray[np.float64]:
    """The largest log weight of each problem's pairs (count,); 0 if it has none."""
    problem, kinds = pairs["problem"], [pairs[kind] for kind in ("weight", "taught") if kind in pairs]
    largest = np.maximum(*kinds) if len(kinds) > 1 else kinds[0]
    starts = np.flatnonzero(np.diff(problem, prepend=-1))  # pairs are sorted by problem
    peak = np.zeros(count)
    peak[problem[starts]] = np.maximum.reduceat(largest, starts) if len(starts) else 0.0
    peak[peak == -np.inf] = 0.0
    return peak


def planted_gain(mask: NDArray[np.bool_], values: Bits, bias: float) -> NDArray[np.float64]:
    """The log likelihood ratio (F,) of a matching point with and without planting: -log P(match)."""
    ones, zeros = (mask & (values == 1)).sum(axis=-1), (mask & (values == 0)).sum(axis=-1)
    return -ones * math.log(bias) - zeros * math.log(1 - bias)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


def _chosen(parameters: Parameters, mask: NDArray[np.bool_]) -> Parameters:
    return {key: value[mask] for key, value in parameters.items()}
