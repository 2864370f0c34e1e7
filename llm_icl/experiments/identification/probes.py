"""Probes: contexts of a task's problems, and queries behind them that tell candidates apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.separation import Separation, separation
from llm_icl.analysis.identification.verdict import LEVEL
from llm_icl.config.specs import Spec
from llm_icl.errors import RequestError
from llm_icl.experiments.candidates import algorithms, probed
from llm_icl.learners.base import learner_of
from llm_icl.problems import Problems, Task
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt
from llm_icl.tasks.drawing import draw_problems

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Probes:
    """The contexts of every number of examples m (M sets of C problems of m points), and the queries behind them."""

    contexts: tuple[Problems, ...]
    design: Design

    @classmethod
    def drawn(
        cls, task: Task, n: int, sizes: Sequence[int], count: int, queries: int, names: Sequence[str], seed: int
    ) -> "Probes":
        """Searched probes of a task. Raises RequestError for a candidate that is unknown or does not apply."""
        candidates = algorithms(task, n, names)
        if len(candidates) < 2:
            raise RequestError(f"one candidate is not enough for {task.name} at n = {n}: name several")
        problems = draw_problems(task, n, max(sizes), count, seed)
        design = probed(problems, sizes, queries, candidates, seed)
        return cls(tuple(problems.prefix(m) for m in sizes), design)

    @property
    def task(self) -> Task:
        return self.contexts[0].task

    @property
    def n(self) -> int:
        return self.contexts[0].n

    @cached_property
    def separation(self) -> Separation:
        """Which candidates can be told apart, corrected for the number of candidates as the verdict is."""
        return separation(self.design, LEVEL / max(len(self.design.candidates) - 1, 1))

    @cached_property
    def ceiling(self) -> Floats | None:
        """Exact Bayes' P(y = 1) (M, C, Q) from the examples' labels; None where it is too expensive."""
        learner = learner_of(Spec("bayes-labels"))
        if learner.refusal(self.task, self.n):
            return None
        pairs = zip(self.contexts, self.design.queries, strict=True)
        return np.stack([learner.answer_queries(context, queries).probability for context, queries in pairs])

    def asked(self) -> Iterator[tuple[int, Problems]]:
        """For each number of examples m: C·Q problems of m + 1 points, the queries of one context in a row."""
        for context, queries in zip(self.contexts, self.design.queries, strict=True):
            yield context.points, context.followed_by(queries)

    def rows(self, prompt: Prompt) -> Iterator[dict[str, Any]]:
        """One row for each query, with what is needed to ask it anywhere, and the candidates' P(y = 1).

        Of a family of candidates, the middle variant. `answer` and `probability` are to be filled in.
        """
        about = {"task": self.task.name, "n": self.n, "seed": self.contexts[0].seed}
        _, contexts, queries = self.design.shape
        for size, (examples, problems) in enumerate(self.asked()):
            for i in range(contexts * queries):
                context, query = divmod(i, queries)
                asked = render(prompt, problems, i, examples).data()
                yield about | {
                    "problem": int(problems.indices[i]),
                    "examples": examples,
                    "probe": query,
                    "inputs": problems.xs[i, :-1].tolist(),
                    "labels": problems.shown[i, :-1].tolist(),
                    "query": problems.xs[i, -1].tolist(),
                    "prompt": asked if isinstance(asked, str) else None,
                    "messages": None if isinstance(asked, str) else asked,
                    "candidates": {
                        c.name: round(float(c.middle[size, context, query]), 6) for c in self.design.candidates
                    },
                    "answer": None,
                    "probability": None,
                }
