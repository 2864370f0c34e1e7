"""Nearest neighbour at every position (256 problems, n = 10, 40 points), against a plain loop; the bar is 100."""

import numpy as np

from llm_icl.config.specs import parse_specs
from llm_icl.learners import learner_of
from llm_icl.problems import Problems
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.benchmarks.timing import best, show


def plain_loop(problems: Problems) -> list[list[int]]:
    """For each query the distance to each earlier point, one after the other."""
    answers = []
    for xs, ys in zip(problems.xs.tolist(), problems.shown.tolist(), strict=True):
        row = []
        for k, query in enumerate(xs):
            nearest, least = 0, len(query) + 1
            for x, y in zip(xs[:k], ys[:k], strict=True):
                distance = sum(a != b for a, b in zip(x, query, strict=True))
                if distance < least:
                    nearest, least = y, distance
            row.append(nearest)
        answers.append(row)
    return answers


def run() -> None:
    task = load_task(parse_specs(["majority"])[0])
    learner = learner_of(parse_specs(["nearest-neighbour"])[0])

    def fresh() -> Problems:
        return draw_problems(task, 10, 40, 256)

    drawing = best(fresh)
    ours = best(lambda: learner.answer(fresh())) - drawing  # fresh problems: nothing is remembered from the last run
    problems = fresh()
    plain = best(lambda: plain_loop(problems), 2)
    assert np.array_equal(learner.answer(problems).prediction, np.array(plain_loop(problems)))
    show([["vectorised", ours, 1.0], ["plain loop", plain, plain / ours]], ["way", "seconds", "ratio"])
