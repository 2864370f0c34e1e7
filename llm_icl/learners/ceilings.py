"""Which learner is a task's ceiling, which is only a reference, and to which learners no ceiling applies."""

import itertools
from collections.abc import Iterable

import numpy as np

from llm_icl.config.specs import parse_specs
from llm_icl.function_classes.base import all_inputs, function_class_of
from llm_icl.learners.base import learner_of
from llm_icl.problems import SHUFFLED, Task

# The standing of a learner on a task, and what it means.
CEILING, FUNCTION, REFERENCE = "the ceiling", "the function itself", "a reference"
HINDSIGHT, CONTROL, LEARNER = "fitted in hindsight", "a control", "a learner"
MEANINGS = {
    CEILING: "exact Bayes under the law that problems are drawn from, which no learner beats in expectation",
    FUNCTION: "all problems share one function, which exact Bayes knows from the start; it is not a fair ceiling for a "
    "learner that has to find the function, and intervals are over the inputs drawn for this one function",
    REFERENCE: "exact Bayes that takes the inputs as given, although they depend on the function (planted points or "
    "teaching sequences); a learner can be above it",
    HINDSIGHT: "fitted to the labels that it is scored on; no ceiling applies to it",
    CONTROL: "its permuted labels include those of later points; no ceiling applies to it",
    LEARNER: "answers from the examples before the query; it is not above the ceiling in expectation",
}
# With more bits or more parameters, a class of several functions has several that are not constant.
_FEW_BITS, _FEW_FUNCTIONS = 3, 2**15


def inputs_are_informative(task: Task) -> bool:
    """Whether a problem's inputs depend on its function, so that they tell about it even without their labels.

    Planted points and teaching sequences do. `bias` and `noise` do not, and rejecting constant functions does not; in
    the nearest-neighbour task labels depend on the inputs, but inputs not on the coins.
    """
    return task.planted > 0 or task.teaching > 0


def single_function(task: Task, n: int) -> bool:
    """Whether all problems of a task have the same function: a formula of the user's own, a parity of all n bits, …"""
    function_class = function_class_of(task, n)
    count = function_class.count(n)
    if n > _FEW_BITS or not 1 < count <= _FEW_FUNCTIONS:
        return count == 1
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
    if name not in ("bayes", "bayes-labels") or "task=" in learner:  # exact Bayes of another task is not exact here
        return LEARNER
    if single_function(task, n):
        return FUNCTION
    return REFERENCE if name == "bayes-labels" and inputs_are_informative(task) else CEILING


def ceiling_of(learners: Iterable[str], task: Task, n: int) -> str:
    """The learner among these that no other is above in expectation; empty if there is none."""
    standings = {name: standing(name, task, n) for name in learners}
    return next((name for kind in (CEILING, FUNCTION) for name in sorted(standings) if standings[name] == kind), "")


def notes_on(names: Iterable[str], tasks: Iterable[Task], ns: Iterable[int]) -> list[str]:
    """What exact Bayes and other references among these learners are on these tasks: a sentence for each standing."""
    found: dict[tuple[str, str], list[str]] = {}
    for name, task, n in itertools.product(sorted(names), tasks, ns):
        kind = standing(name, task, n)
        if kind in (CEILING, FUNCTION, REFERENCE) and not learner_of(parse_specs([name])[0]).refusal(task, n):
            found.setdefault((name, kind), []).append(f"{task.name} (n = {n})")
        elif kind == HINDSIGHT:
            found[name, kind] = ["all tasks"]
    return [f"{name} is {kind} on {', '.join(where)}: {MEANINGS[kind]}." for (name, kind), where in found.items()]
