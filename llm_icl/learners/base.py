"""The base class of learners."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llm_icl.config.registry import Registry
from llm_icl.config.specs import Spec, make, parse_specs
from llm_icl.errors import RequestError
from llm_icl.problems import Answers, Bits, Problems, Task
from llm_icl.tasks.cards import task_names


@dataclass(frozen=True)
class Learner(ABC):
    """Predicts the label at every position of every problem from the examples before it.

    Fields of a subclass are its options. A learner sees the examples' labels as shown, never later labels. The only
    exception is `best-constant`, which is fitted in hindsight.
    """

    @abstractmethod
    def answer(self, problems: Problems) -> Answers:
        """The answers at all m positions, (N, m); answers are independent across problems."""

    def answer_at(self, problems: Problems, positions: NDArray[np.int64]) -> Answers:
        """The answers at some positions, (N, P)."""
        return self.answer(problems).at(positions)

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        """The answers (C, Q) to queries (C, Q, n), each behind all m examples of its context.

        Equal to `answer` at position m of a problem whose point m is the query. Learners that can fit a context once
        for all its queries override it.
        """
        answers = self.answer_at(contexts.followed_by(queries), np.array([contexts.points]))
        shape = queries.shape[:2]
        return Answers(
            answers.probability.reshape(shape), answers.prediction.reshape(shape), answers.status.reshape(shape)
        )

    def check(self) -> None:  # noqa: B027 (most learners have nothing to check)
        """Raise RequestError if an option is out of range."""

    def refusal(self, task: Task, n: int) -> str:
        """Why this learner is not applicable to this task at this n; empty if it is."""
        return ""

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        """Whether the learner runs by default on this task."""
        return False


learners: Registry[type[Learner]] = Registry("learner", "llm_icl.learners")


def learner_of(spec: Spec) -> Learner:
    """The learner of a name and its options. Raises RequestError for an invalid name, option or value."""
    learner = make("learner", str(spec), learners.get(spec.name), spec.mapping())
    learner.check()
    return learner


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise RequestError(f"{name} = {value} is not one of {', '.join(allowed)}")


def parse_learners(texts: Iterable[str], tasks_dir: Path | None = None) -> tuple[Spec, ...]:
    """The learners of repeated options and comma lists. Raises RequestError for one that assumes a task, as in
    `bayes:task=NAME`, whose card is another in the user's folder: learners know those of llm-icl and of ./tasks.
    """
    specs = tuple(parse_specs(texts))
    for spec in specs:
        assumed = str(spec.mapping().get("task", ""))
        if not assumed:
            continue
        own, known = (names.get(assumed, Path()).resolve() for names in (task_names(tasks_dir), task_names()))
        if own != known:
            raise RequestError(
                f"learner '{spec}': learners assume tasks of llm-icl and of ./tasks, and not '{assumed}' of {tasks_dir}"
            )
    return specs
