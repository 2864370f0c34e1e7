"""Drawing 640 conjunction problems (n = 10, 40 points), against loops over problems and points; the bar is 100."""

import random

from llm_icl.config.specs import parse_specs
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.benchmarks.timing import best, show

N, POINTS, PROBLEMS = 10, 40, 640


def plain_loop() -> list[object]:
    """The sampler as one would write it first: per problem, per point, per bit."""
    drawn: list[object] = []
    for _ in range(PROBLEMS):
        literals = [random.choices([0, 1, -1], [0.7, 0.15, 0.15])[0] for _ in range(N)]
        points = []
        for _ in range(POINTS):
            x = [random.randint(0, 1) for _ in range(N)]
            if random.random() < 0.3:
                x = [bit if literal == 0 else int(literal > 0) for bit, literal in zip(x, literals, strict=True)]
            y = int(all(literal == 0 or bit == (literal > 0) for bit, literal in zip(x, literals, strict=True)))
            points.append((x, y))
        drawn.append((literals, points))
    return drawn


def numpy_loop() -> list[object]:
    """The sampler as the field's public code writes it: NumPy calls inside loops over problems and points."""
    import numpy as np

    drawn: list[object] = []
    for _ in range(PROBLEMS):
        literals = np.random.choice([0, 1, -1], size=N, p=[0.7, 0.15, 0.15])
        xs = np.random.randint(0, 2, size=(POINTS, N))
        for k in range(POINTS):
            if np.random.choice([0, 1], p=[0.7, 0.3]):
                xs[k] = np.where(literals == 0, xs[k], literals > 0)
        drawn.append((literals, xs, np.all((literals == 0) | (xs == (literals > 0)), axis=1)))
    return drawn


def run() -> None:
    task = load_task(parse_specs(["conjunction"])[0])
    ours = best(lambda: draw_problems(task, N, POINTS, PROBLEMS))
    plain, numpy = best(plain_loop, 2), best(numpy_loop, 2)
    rows: list[list[object]] = [
        ["vectorised", ours, 1.0],
        ["loop in plain Python", plain, plain / ours],
        ["loop with NumPy calls", numpy, numpy / ours],
    ]
    show(rows, ["way", "seconds", "ratio"])
