"""Exact Bayes: the posterior predictive under the task's prior, the best possible learner."""

import dataclasses
import math
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
    task = problems.task
    function_class = function_class_of(task, problems.n)
    if function_class.has_closed_form(task, problems.n):
        probability = function_class.closed_form(problems, knows_inputs)
    else:
        probability = _enumerated(problems, function_class, knows_inputs)
    undefined = np.argwhere(~np.isfinite(probability))
    if len(undefined):
        i, k = undefined[0]
        raise WorkError(
            f"task '{task.name}': exact Bayes is undefined, as what problem {problems.indices[i]} shows up to point "
            f"{k} has probability 0 under this task"
        )
    probability = np.where(np.abs(probability - 0.5) < _TIE, 0.5, probability)
    return np.clip(probability, 0.0, 1.0)  # sums in closed forms can round to just outside


def _enumerated(problems: Problems, function_class: FunctionClass, knows_inputs: bool) -> NDArray[np.float64]:
    """The posterior predictive (N, m) by weighing every function of the class; NaN where none is possible."""
    task = problems.task
    functions, prior = function_class.hypotheses(problems.n)
    if task.drop_constant:
        prior = np.where(function_class.is_constant(functions), 0.0, prior)
    functions, prior = _chosen(functions, prior > 0), np.log(prior[prior > 0])
    planted, teaching = (task.planted, task.teaching) if knows_inputs else (0.0, 0.0)
    lessons = None
    weighed = functions | {"weight": prior + _log(1 - teaching)}
    if planted > 0:
        mask, values = function_class.planting(functions)
        match = np.logaddexp(_log(1 - planted), _log(planted) + planted_gain(mask, values, task.bias))
        weighed |= {"mask": mask, "values": values, "match": match}
    if teaching > 0:
        lessons = function_class.teaching_sequence(functions)
        fits = lessons.lengths <= problems.points  # other lessons cannot be drawn
        weighed |= {"taught": np.where(fits, prior + _log(teaching), -np.inf), "function": np.arange(len(prior))}
    chunk = max(1, _CHUNK // max(1, len(prior)))
    parts = [
        _weigh(problems[start : start + chunk], function_class, weighed, lessons)
        for start in range(0, len(problems), chunk)
    ]
    return np.concatenate(parts)


def _weigh(
    problems: Problems, function_class: FunctionClass, functions: Parameters, lessons: TeachingSequence | None
) -> NDArray[np.float64]:
    """Update sequentially the log weights of all pairs (problem, function); impossible pairs are dropped.

    A pair has a second log weight, `taught`, for a problem that begins with the teaching sequence of its function. A
    point's density is counted relative to that of an unplanted one.
    """
    task, (count, points) = problems.task, problems.ys.shape
    unplanted = np.array([_log(1 - task.bias), _log(task.bias)])[problems.xs].sum(axis=-1)  # (N, m)
    pairs = {key: np.tile(value, (count, *[1] * (value.ndim - 1))) for key, value in functions.items()}
    pairs["problem"] = np.repeat(np.arange(count), len(functions["weight"]))
    probability = np.empty((count, points))
    for k in range(points):
        problem = pairs["problem"]
        x = problems.xs[problem, k] if count > 1 else problems.xs[:, k]  # (pairs, n), or (1, n) for all pairs
        density: NDArray[np.float64] | float = 0.0
        if "match" in pairs:
            matches = ~(pairs["mask"] & (x != pairs["values"])).any(axis=-1)
            density = np.where(matches, pairs["match"], _log(1 - task.planted))
            pairs["weight"] += density
        if lessons:
            function = pairs["function"]
            in_lesson = k < lessons.lengths[function]
            given = (lessons.xs[function, min(k, lessons.xs.shape[1] - 1)] == x).all(axis=-1)
            pairs["taught"] += np.where(in_lesson, np.where(given, -unplanted[problem, k], -np.inf), density)
        label = function_class.evaluate(pairs, x[:, None, :])[:, 0]  # of (pairs, 1, n): (pairs,)
        probability[:, k] = _share_of_ones(pairs, label, count)

        right = label == problems.shown[problem, k]
        likelihood = np.where(right, _log(1 - task.noise), _log(task.noise))
        pairs["weight"] += likelihood
        possible = pairs["weight"] > -np.inf
        if lessons:  # a teacher's labels carry no noise
            pairs["taught"] += np.where(in_lesson, np.where(right, 0.0, -np.inf), likelihood)
            possible |= pairs["taught"] > -np.inf
        if not possible.all():
            pairs = _chosen(pairs, possible)
    return probability


def _share_of_ones(pairs: Parameters, label: Bits, count: int) -> NDArray[np.float64]:
    """The share (count,) of each problem's weight that is on functions with label 1; NaN if it has no weight.

    The log weights of a problem are shifted in place so that the largest is 0: only their differences matter.
    """
    problem, kinds = pairs["problem"], [pairs[kind] for kind in ("weight", "taught") if kind in pairs]
    largest = np.maximum(*kinds) if len(kinds) > 1 else kinds[0]
    starts = np.flatnonzero(np.diff(problem, prepend=-1))  # pairs are sorted by problem
    peak = np.zeros(count)
    peak[problem[starts]] = np.maximum.reduceat(largest, starts) if len(starts) else 0.0
    peak[peak == -np.inf] = 0.0
    mass = np.zeros(len(problem))
    for log_weight in kinds:
        log_weight -= peak[problem]
        mass += np.exp(log_weight)
    total = np.bincount(problem, mass, minlength=count)
    ones = np.bincount(problem, mass * label, minlength=count)
    return np.divide(ones, total, out=np.full(count, np.nan), where=total > 0)


def planted_gain(mask: NDArray[np.bool_], values: Bits, bias: float) -> NDArray[np.float64]:
    """The log likelihood ratio (F,) of a matching point with and without planting: -log P(match)."""
    ones, zeros = (mask & (values == 1)).sum(axis=-1), (mask & (values == 0)).sum(axis=-1)
    return -ones * math.log(bias) - zeros * math.log(1 - bias)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf


def _chosen(parameters: Parameters, mask: NDArray[np.bool_]) -> Parameters:
    return {key: value[mask] for key, value in parameters.items()}
