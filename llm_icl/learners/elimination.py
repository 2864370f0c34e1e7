"""Learning conjunctions and disjunctions by elimination of literals (Valiant 1984)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.learners.base import Learner, learners, one_of
from llm_icl.problems import Answers, Bits, Problems, Task

TARGETS = ("conjunction", "disjunction", "monotone-conjunction", "monotone-disjunction")


def target_of(task: Task) -> str:
    """The target that a task's functions belong to; empty if none."""
    if task.function_class == "sparse-disjunction":
        return "monotone-disjunction"
    if task.function_class not in ("conjunction", "disjunction"):
        return ""
    cases = [task.parameters] if isinstance(task.parameters, Mapping) else task.parameters
    monotone = all(case.get("negative") == 0 for case in cases)
    return f"monotone-{task.function_class}" if monotone else task.function_class


@learners.register("elimination")
@dataclass(frozen=True)
class Elimination(Learner):
    """Start with all literals; drop those contradicted by an informative example; predict with the remaining ones.

    For a conjunction, examples with label 1 are informative, and the prediction is 1 if all remaining literals are
    true; a disjunction is the dual. A monotone target starts with the n bits, others with all 2n literals. By default
    `target` depends on the task.
    """

    target: str = "task"

    def check(self) -> None:
        one_of("elimination: target", self.target, ("task", *TARGETS))

    def refusal(self, task: Task, n: int) -> str:
        if self.target != "task" or target_of(task):
            return ""
        return f"task '{task.name}' is not a conjunction or disjunction; set elimination:target=conjunction"

    def answer(self, problems: Problems) -> Answers:
        monotone, dual = self._target(problems.task)
        xs, labels = problems.xs ^ dual, problems.shown ^ dual
        return Answers.from_prediction(conjunction_answers(xs, labels, monotone) ^ dual)

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        monotone, dual = self._target(contexts.task)
        dropped = _contradicted(contexts.xs ^ dual, contexts.shown ^ dual, monotone).any(axis=1, keepdims=True)
        holds = (dropped | (_literals(queries ^ dual, monotone) == 1)).all(axis=-1)  # (C, Q)
        return Answers.from_prediction(holds ^ dual)

    def _target(self, task: Task) -> tuple[bool, bool]:
        """Whether the target is monotone, and whether it is a disjunction: 1 - the conjunction of negated literals."""
        target = target_of(task) if self.target == "task" else self.target
        return target.startswith("monotone"), target.endswith("disjunction")

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        return bool(target_of(task))


def conjunction_answers(xs: Bits, labels: Bits, monotone: bool) -> NDArray[np.bool_]:
    """Whether all literals consistent with the earlier positive examples are true, (N, m)."""
    dropped = np.logical_or.accumulate(_contradicted(xs, labels, monotone), axis=1)
    dropped = np.concatenate([np.zeros_like(dropped[:, :1]), dropped[:, :-1]], axis=1)  # by earlier examples only
    return (dropped | (_literals(xs, monotone) == 1)).all(axis=-1)  # (N, m)


def _contradicted(xs: Bits, labels: Bits, monotone: bool) -> NDArray[np.bool_]:
    """Whether each example contradicts each literal of a conjunction, (N, m, n or 2n)."""
    return (_literals(xs, monotone) == 0) & (labels[..., None] == 1)


def _literals(xs: Bits, monotone: bool) -> Bits:
    return xs if monotone else np.concatenate([xs, 1 - xs], axis=-1)
