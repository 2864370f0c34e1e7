"""Which learner is a task's ceiling, which is only a reference, and to which learners no ceiling applies."""

from collections.abc import Iterable

import numpy as np

from llm_icl.function_classes.base import all_inputs, function_class_of
from llm_icl.problems import SHUFFLED, Task

# The standing of a learner on a task, and what it means.
CEILING, FUNCTION, REFERENCE, HINDSIGHT, CONTROL, LEARNER = (
    "ceiling", "the function itself", "reference", "fitted in hindsight", "control", "learner"
)  # fmt: skip
MEANINGS = {
    CEILING: "exact Bayes that knows how problems are drawn: no learner is above it in expectation",
    FUNCTION: "all problems share one function, which exact Bayes knows from the start, so it is no fair ceiling for a "
    "learner that has to find the function; intervals are over the inputs that are drawn for this one function",
    REFERENCE: "exact Bayes that takes the inputs as given, although they depend on the function here (planted points "
    "or teaching sequences): a learner can be above it",
    HINDSIGHT: "fitted to the labels that it is scored on: no ceiling applies to it",
    CONTROL: "its permuted labels include those of later points: no ceiling applies to it",
    LEARNER: "a learner",
}
# At more bits, a class of several functions has several that are not constant.
_FEW_BITS = 3


def inputs_are_informative(task: Task) -> bool:
    """Whether a problem's inputs depend on its function, so that they tell about it even without their labels.

    Planted points and teaching sequences do. `bias` and `noise` do not, and rejecting constant functions does not; in
    the nearest-neighbour task labels depend on the inputs, but inputs not on the coins.
    """
    return task.planted > 0 or task.teaching > 0


def single_function(task: Task, n: int) -> bool:
    """Whether all problems of a task have the same function: a formula of the user's own, a parity of all n bits, …"""
    function_class = function_class_of(task, n)
    if function_class.count(n) == 1 or n > _FEW_BITS or not np.isfinite(function_class.count(n)):
        return function_class.count(n) == 1
    functions, prior = function_class.hypotheses(n)
    possible = prior > 0
    if task.drop_constant:
        possible &= ~function_class.is_constant(functions)
    values = function_class.evaluate(functions, all_inputs(n)[None])[possible]  # (F, 2^n)
    return len(np.unique(values, axis=0)) == 1


def standing(learner: str, task: Task, n: int) -> str:
    """The standing of a learner, by name with or without options, on a task: a key of `MEANINGS`."""
    name = learner.partition(":")[0]
    if learner.endswith(SHUFFLED):
        return CONTROL
    if name == "best-constant":
        return HINDSIGHT
    if name not in ("bayes", "bayes-labels"):
        return LEARNER
    if single_function(task, n):
        return FUNCTION
    return REFERENCE if name == "bayes-labels" and inputs_are_informative(task) else CEILING


def ceiling_of(learners: Iterable[str], task: Task, n: int) -> str:
    """The learner among these that no other is above in expectation; empty if there is none."""
    standings = {name: standing(name, task, n) for name in learners}
    return next((name for kind in (CEILING, FUNCTION) for name in sorted(standings) if standings[name] == kind), "")
