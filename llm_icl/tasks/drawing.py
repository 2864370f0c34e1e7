"""Draws problems of a task: functions and points, planting, teaching, labels, noise."""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.function_classes.base import FunctionClass, function_class_of
from llm_icl.problems import PROBLEMS_VERSION, Bits, Parameters, Problems, Task
from llm_icl.randomness import Source
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.options import DrawingOptions, QueryOptions

MAX_POINTS = 10_000
# The maximum number of bits, or of distances between points, in memory.
_MOST_NUMBERS = 2**32
# Give up after this many attempts if (almost) all functions of a class are constant.
_MAX_ATTEMPTS = 1000
MAX_PROBLEMS = 2**32
_MAX_SEED = 2**63 - 1

# What problems are for. Each stream has random numbers of its own, whatever the seeds are.
Stream = Literal["test", "training", "validation"]


def draw(options: DrawingOptions) -> Problems:
    """Draw the requested problems. Raises RequestError."""
    specs = parse_specs([options.task])
    if len(specs) > 1:
        raise RequestError(f"--task takes one task, not '{options.task}'")
    task = load_task(specs[0], options.tasks_dir)
    return draw_problems(task, options.n, options.points, options.problems, options.seed)


def draw_each(options: QueryOptions) -> list[Problems]:
    """Draw the requested problems of each task at each n. Raises RequestError."""
    tasks = [load_task(spec, options.tasks_dir) for spec in parse_specs(options.task)]
    return [draw_problems(task, n, options.points, options.problems, options.seed) for task in tasks for n in options.n]


def draw_problems(
    task: Task, n: int, points: int, problems: int | Sequence[int], seed: int = 0, stream: Stream = "test"
) -> Problems:
    """Draw problems 0 … N-1, or those with the given indices.

    Problem i depends only on the task, n, the stream, the seed and i; its first points do not change when `points`
    grows. The random numbers are shared by all tasks of one function class: problem i with and without label noise has
    the same function and the same points, so options are compared pair by pair.
    """
    if not 1 <= points <= MAX_POINTS:
        raise RequestError(f"points = {points} is out of range: 1 to {MAX_POINTS}")
    count = problems if isinstance(problems, int) else len(problems)
    if count * points * max(n, points) > _MOST_NUMBERS:
        raise RequestError(
            f"{count} problems of {points} points with n = {n} exceed the limit: draw fewer problems or points"
        )
    if not isinstance(problems, int) and not 0 <= min(problems, default=0) <= max(problems, default=0) < MAX_PROBLEMS:
        raise RequestError("problems are numbered from 0 to 2^32 - 1")
    if not 0 <= seed <= _MAX_SEED:
        raise RequestError(f"seed {seed} is out of range: 0 to 2^63 - 1")
    function_class = function_class_of(task, n)
    indices = np.arange(problems) if isinstance(problems, int) else np.asarray(problems, dtype=np.int64)
    purpose = "problems" if stream == "test" else f"{stream} problems"
    source = Source.of(f"{purpose} {PROBLEMS_VERSION} {task.function_class} n={n} seed={seed}", indices)
    parameters = _draw_functions(task, function_class, source, n)

    # Fair bits, which most tasks use, are cheap.
    fair = task.bias == 0.5
    xs = source.coins("inputs", points, n) if fair else (source.uniform("inputs", points, n) < task.bias).view(np.uint8)
    if task.planted > 0:
        planting = function_class.planting(parameters)
        planted = (source.uniform("planted", points)[..., None] < task.planted) & planting.mask[:, None, :]
        xs ^= planted & (xs ^ planting.values[:, None, :])  # (N, m, n): planted bits are overwritten
    taught = np.zeros(len(indices), dtype=np.int64)
    if task.teaching > 0:
        xs, taught = _teach(task, function_class, parameters, source, xs)
    ys = function_class.labels(source, parameters, xs)
    shown = ys
    if task.noise > 0:
        flipped = source.uniform("noise", points) < task.noise
        drawn = np.arange(points) >= taught[:, None]  # no noise in the teaching prefix
        shown = ys ^ (flipped & drawn)
    return Problems(task, n, seed, xs, ys, shown, taught, indices, parameters)


def _draw_functions(task: Task, function_class: FunctionClass, source: Source, n: int) -> Parameters:
    parameters = function_class.draw(source, n)
    if not task.drop_constant:
        return parameters
    left = np.arange(len(source.problems))  # problems with constant functions
    for _ in range(_MAX_ATTEMPTS):
        constant = function_class.is_constant({key: value[left] for key, value in parameters.items()})
        if not constant.any():
            return parameters
        left, source = left[constant], source.again(constant)
        for key, value in function_class.draw(source, n).items():
            parameters[key][left] = value
    raise RequestError(
        f"task '{task.name}' at n = {n} has (almost) only constant functions: choose another n, or drop-constant=false"
    )


def _teach(
    task: Task, function_class: FunctionClass, parameters: Parameters, source: Source, xs: Bits
) -> tuple[Bits, np.ndarray]:
    points = xs.shape[1]
    sequence = function_class.teaching_sequence(parameters)
    chosen = source.uniform("teaching", 1)[:, 0] < task.teaching
    lengths = np.where(chosen, sequence.lengths, 0)
    if lengths.max(initial=0) > points:
        raise RequestError(
            f"task '{task.name}': a teaching sequence takes {lengths.max()} points, but there are only {points}"
        )
    shown = np.zeros_like(xs)
    length = min(points, sequence.xs.shape[1])
    shown[:, :length] = sequence.xs[:, :length]
    return np.where((np.arange(points) < lengths[:, None])[..., None], shown, xs), lengths
