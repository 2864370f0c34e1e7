"""Learning parities by Gaussian elimination over GF(2)."""

from dataclasses import dataclass

import numpy as np

from llm_icl.function_classes.parity import eliminate
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Problems, Task


@learners.register("gaussian-elimination")
@dataclass(frozen=True)
class GaussianElimination(Learner):
    """The label implied by the examples if they come from a parity; 0.5 (answered 0) if it is undetermined.

    Examples that contradict earlier ones are skipped.
    """

    def answer(self, problems: Problems) -> Answers:
        forced, _ = eliminate(problems.xs, problems.shown)
        return Answers.from_probability(np.where(forced < 0, 0.5, forced))

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        return task.function_class in ("parity", "sparse-parity")
