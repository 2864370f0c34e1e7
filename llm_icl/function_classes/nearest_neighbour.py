"""The nearest-neighbour task (Bhattamishra et al. 2024): random labels first, then the label of the nearest point."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes.base import FunctionClass, Mask, function_classes
from llm_icl.problems import Bits, Parameters, Problems, Task, hamming_distances
from llm_icl.randomness import Source

MAX_START = 10_000


def nearest(distances: NDArray[np.int16]) -> NDArray[np.int64]:
    """For each point the earliest of the nearest earlier points: (N, m, m) → (N, m); undefined at point 0."""
    points = distances.shape[-1]
    later = np.triu(np.full((points, points), np.iinfo(np.int16).max))
    return np.maximum(distances, later).argmin(axis=-1)  # (N, m)


@function_classes.register("nearest-neighbour")
@dataclass(frozen=True)
class NearestNeighbour(FunctionClass):
    """The labels of the first `start` points are fair coins (a repeated point repeats its label); every later label is
    that of the nearest earlier point. On bits, Hamming distance, Euclidean distance and cosine of ±1 vectors give
    the same neighbours. Ties go to the earliest, as in the public sampler.

    Labels propagate: inherited labels are inherited by later points. There is no explicit function; the parameters are
    the coin flips.
    """

    start: int = 20

    def check(self, n: int) -> None:
        super().check(n)
        if not 1 <= self.start <= MAX_START:
            raise RequestError(f"start = {self.start} is out of range: 1 to {MAX_START}")

    def draw(self, source: Source, n: int) -> Parameters:
        return {"coins": source.uniform("coins", self.start) < 0.5}

    def evaluate(self, parameters: Parameters, xs: Bits) -> Bits:
        raise RequestError("the labels of the nearest-neighbour task depend on the earlier points: use `labels`")

    def labels(self, source: Source, parameters: Parameters, xs: Bits) -> Bits:
        problems, points, _ = xs.shape
        distances = hamming_distances(xs)  # (N, m, m)
        neighbour = nearest(distances)  # (N, m)
        rows = np.arange(problems)
        ys = np.zeros((problems, points), dtype=np.uint8)
        for k in range(points):
            inherited = ys[rows, neighbour[:, k]]
            if k < self.start:
                repeats = (k > 0) & (distances[rows, k, neighbour[:, k]] == 0)
                ys[:, k] = np.where(repeats, inherited, parameters["coins"][:, k])
            else:
                ys[:, k] = inherited
        return ys

    def is_constant(self, parameters: Parameters) -> Mask:
        return np.zeros(len(parameters["coins"]), dtype=bool)

    def has_closed_form(self, task: Task, n: int) -> bool:
        return task.noise == 0

    def closed_form(self, problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
        """0 or 1 if the label is inherited, else 0.5."""
        inherited = np.take_along_axis(problems.shown, nearest(problems.distances), axis=-1)
        known = problems.seen | (np.arange(problems.points) >= self.start)
        return np.where(known, inherited, 0.5)
