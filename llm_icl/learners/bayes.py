"""Exact Bayes: the posterior predictive under the task's prior, the best possible learner."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes import FunctionClass
from llm_icl.function_classes.base import function_class_of
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Parameters, Problems, Task

# Pairs (problem, hypothesis) per chunk.
_CHUNK = 2**20
LIMIT = 2**21


@dataclass(frozen=True)
class ExactBayes(Learner):
    """P(y_k = 1 | x_0, y_0, …, x_k), in closed form if available, else by enumerating all functions.

    limit: the maximum number of functions to enumerate without a closed form. Label noise and dropped
    constants are part of the prior.
    """

    limit: int = LIMIT

    knows_inputs: ClassVar[bool]

    def answer(self, problems: Problems) -> Answers:
        if refusal := self.refusal(problems.task, problems.n):
            raise RequestError(refusal)
        return Answers.from_probability(posterior_predictive(problems, self.knows_inputs))

    def check(self) -> None:
        if self.limit < 1:
            raise RequestError(f"limit = {self.limit} is out of range: at least 1")

    def refusal(self, task: Task, n: int) -> str:
        if (task.planted > 0 or task.teaching > 0) and task.bias in (0, 1):
            return f"task '{task.name}' has deterministic inputs; exact Bayes requires 0 < bias < 1"
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
    """Exact Bayes that also knows the input distribution: planted and teaching points are informative.

    The ceiling for a network trained on the task. limit: the maximum number of functions to enumerate without a closed
    form.
    """

    knows_inputs = True


@learners.register("bayes-labels")
@dataclass(frozen=True)
class BayesLabels(ExactBayes):
    """Exact Bayes that learns from the labels only, conditioning on the inputs.

    The fair ceiling for a language model, which does not know the input distribution. limit: as for `bayes`.
    """

    knows_inputs = False


def posterior_predictive(problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
    """P(y_k = 1 | x_0, y_0, …, x_k), (N, m)."""
    task = problems.task
    function_class = function_class_of(task, problems.n)
    if function_class.has_closed_form(task, problems.n):
        return function_class.closed_form(problems, knows_inputs)
    parameters, prior = function_class.hypotheses(problems.n)
    if task.drop_constant:
        prior = np.where(function_class.is_constant(parameters), 0.0, prior)
    parameters, prior = _chosen(parameters, prior > 0), prior[prior > 0]
    chunk = max(1, _CHUNK // len(prior))
    parts = [
        _weigh(problems[start : start + chunk], function_class, parameters, prior / prior.sum(), knows_inputs)
        for start in range(0, len(problems), chunk)
    ]
    return np.concatenate(parts)


def _weigh(
    problems: Problems,
    function_class: FunctionClass,
    parameters: Parameters,
    prior: NDArray[np.float64],
    knows_inputs: bool,
) -> NDArray[np.float64]:
    """Update sequentially over all pairs (problem, function); pairs with zero weight are dropped.

    Each pair has two weights, for a problem without and with a teaching prefix. A point's density is counted relative
    to that of an unplanted one, and weights are divided by their sum after every point: this
    prevents underflow and overflow.
    """
    task, (count, points) = problems.task, problems.ys.shape
    teaching = task.teaching if knows_inputs else 0.0
    unplanted = np.array([1 - task.bias, task.bias])[problems.xs].prod(axis=-1)  # (N, m)
    functions = parameters | {"weight": prior[:, None] * np.array([1 - teaching, teaching])}
    if knows_inputs and task.planted > 0:
        mask, values = function_class.planting(parameters)
        functions |= {"mask": mask, "values": values, "gain": task.planted * planted_gain(mask, values, task.bias)}
    if teaching > 0:
        functions["lesson"], functions["length"] = function_class.teaching_sequence(parameters)
    pairs = {key: np.tile(value, (count, *[1] * (value.ndim - 1))) for key, value in functions.items()}
    pairs["problem"] = np.repeat(np.arange(count), len(prior))
    probability = np.empty((count, points))
    for k in range(points):
        problem, weight = pairs["problem"], pairs["weight"]
        x = problems.xs[problem, k] if count > 1 else problems.xs[:, k]  # (pairs, n), or (1, n) for all pairs
        density = np.ones(len(weight))  # (pairs,)
        if "gain" in pairs:
            matches = ~(pairs["mask"] & (x != pairs["values"])).any(axis=-1)
            density = (1 - task.planted) + matches * pairs["gain"]
        weight[:, 0] *= density
        in_lesson = np.zeros(len(weight), dtype=bool)
        if teaching > 0:
            in_lesson = k < pairs["length"]
            lesson = pairs["lesson"]  # (pairs, maximum length, n)
            taught = (lesson[:, min(k, lesson.shape[1] - 1)] == x).all(axis=-1)
            weight[:, 1] *= np.where(in_lesson, taught / unplanted[problem, k], density)
        label = function_class.evaluate(pairs, x[:, None, :])[:, 0]  # of (pairs, 1, n): (pairs,)
        mass = weight.sum(axis=-1)
        total = np.bincount(problem, mass, minlength=count)
        ones = np.bincount(problem, mass * label, minlength=count)
        probability[:, k] = np.divide(ones, total, out=np.full(count, 0.5), where=total > 0)

        right = label == problems.shown[problem, k]
        scale = 1 / np.maximum(total, np.finfo(float).tiny)[problem]
        likelihood = np.where(right, 1 - task.noise, task.noise)
        weight[:, 0] *= likelihood * scale
        weight[:, 1] *= np.where(in_lesson, right, likelihood) * scale  # a teacher's labels carry no noise
        kept = weight.max(axis=-1) > 0
        if not kept.all():
            pairs = _chosen(pairs, kept)
    return probability


def planted_gain(mask: NDArray[np.bool_], values: Bits, bias: float) -> NDArray[np.float64]:
    """The likelihood ratio (F,) of a matching point with and without planting: 1 / P(match)."""
    ones, zeros = (mask & (values == 1)).sum(axis=-1), (mask & (values == 0)).sum(axis=-1)
    return bias ** -ones.astype(float) * (1 - bias) ** -zeros.astype(float)


def _chosen(parameters: Parameters, mask: NDArray[np.bool_]) -> Parameters:
    return {key: value[mask] for key, value in parameters.items()}
