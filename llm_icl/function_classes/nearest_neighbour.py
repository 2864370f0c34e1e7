"""The nearest-neighbour task (Bhattamishra et al. 2024): random labels first, then the label of the nearest point."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes.base import FunctionClass, Mask, function_classes, undefined_after
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
        return np.take_along_axis(parameters["coins"], self._roots(hamming_distances(xs)), axis=-1).astype(np.uint8)

    def _roots(self, distances: NDArray[np.int16]) -> NDArray[np.int64]:
        """The point whose coin each label repeats: (N, m, m) → (N, m)."""
        problems, points, _ = distances.shape
        neighbour, rows = nearest(distances), np.arange(problems)
        roots = np.zeros((problems, points), dtype=np.int64)
        for k in range(1, points):
            inherits = (distances[rows, k, neighbour[:, k]] == 0) | (k >= self.start)
            roots[:, k] = np.where(inherits, roots[rows, neighbour[:, k]], k)
        return roots

    def is_constant(self, parameters: Parameters) -> Mask:
        return np.zeros(len(parameters["coins"]), dtype=bool)

    def has_closed_form(self, task: Task, n: int) -> bool:
        return True

    def closed_form(self, problems: Problems, knows_inputs: bool) -> NDArray[np.float64]:
        """Earlier labels with the root of the query are noisy copies of one fair coin, and the others of other coins.

        If 1 was shown d times more often than 0, the odds of the coin are (noise / (1 - noise))^-d.
        """
        noise, roots = problems.task.noise, self._roots(problems.distances)
        odds = noise / (1 - noise) if noise < 1 else np.inf
        lead = np.zeros(roots.shape)  # of label 1 among the copies of each root's coin
        probability, rows = np.zeros(roots.shape), np.arange(len(roots))
        with np.errstate(divide="ignore", over="ignore"):
            for k, root in enumerate(roots.T):
                probability[:, k] = 1 / (1 + odds ** lead[rows, root])
                lead[rows, root] += 2.0 * problems.shown[:, k] - 1
        return (
            undefined_after(probability == problems.shown ^ (noise < 1), probability)
            if noise in (0, 1)
            else probability
        )
