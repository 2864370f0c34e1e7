"""k nearest neighbours, at every position of every problem at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.function_classes.nearest_neighbour import nearest
from llm_icl.learners.base import Learner, learners, one_of
from llm_icl.problems import Answers, Bits, Problems, Task, hamming_distances

METRICS = ("hamming", "cosine")
TIES = ("earliest", "latest", "vote")

# Problems are taken in chunks of at most this many distances (64 MiB of them).
_CHUNK = 2**23


@learners.register("nearest-neighbour")
@dataclass(frozen=True)
class NearestNeighbour(Learner):
    """The vote of the k nearest earlier points; P(y = 1) is the fraction of votes for 1, and 0.5 without examples.

    metric: `hamming` (on bits the same order as Euclidean distance and as cosine of ±1 vectors) or `cosine` of the
    vectors of zeros and ones. tie selects among points at the distance of the k-th: the `earliest`,
    the `latest`, or all of them (`vote`). With fewer than k examples all of them vote. A tied vote gives 0.
    """

    k: int = 1
    metric: str = "hamming"
    tie: str = "earliest"

    def check(self) -> None:
        if self.k < 1:
            raise RequestError(f"nearest-neighbour: k = {self.k} is out of range: at least 1")
        one_of("nearest-neighbour: metric", self.metric, METRICS)
        one_of("nearest-neighbour: tie", self.tie, TIES)

    def answer(self, problems: Problems) -> Answers:
        chunk = max(1, _CHUNK // problems.points**2)
        parts = [self._shares(problems[start : start + chunk]) for start in range(0, len(problems), chunk)]
        return Answers.from_probability(np.concatenate(parts))

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        examples = np.ones((1, contexts.points), dtype=bool)
        chunk = max(1, _CHUNK // max(queries.shape[1] * contexts.points, 1))
        parts = []
        for start in range(0, len(contexts), chunk):
            some, asked = contexts[start : start + chunk], queries[start : start + chunk]
            parts.append(self._votes(self._ranks(asked, some.xs), examples, some.shown))
        return Answers.from_probability(np.concatenate(parts))

    def _shares(self, problems: Problems) -> NDArray[np.float64]:
        """The fraction of votes for 1 at every position, (N, m)."""
        points = problems.points
        if (self.k, self.metric, self.tie) == (1, "hamming", "earliest"):  # one voter: no counting
            share = np.take_along_axis(problems.shown, nearest(problems.distances), axis=-1).astype(np.float64)
            share[:, 0] = 0.5
            return share
        earlier = np.tril(np.ones((points, points), dtype=bool), k=-1)
        return self._votes(self._ranks(problems.xs, problems.xs), earlier, problems.shown)

    def _ranks(self, xs: Bits, examples: Bits) -> NDArray[np.int64]:
        """Integers (N, P, m) in the order of the distances between points (N, P, n) and examples (N, m, n)."""
        if self.metric == "hamming":
            return hamming_distances(xs, examples).astype(np.int64)
        return cosine_ranks(xs, examples)

    def _votes(self, distances: NDArray[np.int64], examples: NDArray[np.bool_], labels: Bits) -> NDArray[np.float64]:
        """The fraction of votes for 1, (N, P), of distances (N, P, m) to points with labels (N, m), where `examples`
        (P or 1, m) says which of them a position has seen.
        """
        points = distances.shape[-1]
        if points == 0:
            return np.full(distances.shape[:2], 0.5)
        if self.tie != "vote":  # ties are broken by adding the order to the distance
            order = np.arange(points) if self.tie == "earliest" else np.arange(points)[::-1]
            distances = distances * points + order
        distances = np.where(examples, distances, np.iinfo(np.int64).max)  # (N, P, m)
        k = min(self.k, points)
        limit = distances.min(-1) if k == 1 else np.partition(distances, k - 1, axis=-1)[..., k - 1]  # (N, P)
        votes = (distances <= limit[..., None]) & examples  # (N, P, m)
        count = votes.sum(axis=-1)  # (N, P)
        ones = (votes & labels[:, None, :].astype(bool)).sum(axis=-1)
        return np.where(count > 0, ones / np.maximum(count, 1), 0.5)

    @classmethod
    def is_default_for(cls, task: Task) -> bool:
        return True


def cosine_ranks(xs: Bits, examples: Bits) -> NDArray[np.int64]:
    """1 - cosine of the 0/1 vectors, rounded to 1e-9 for exact ties; a zero vector is far from all others."""
    points, others = xs.astype(np.float64), examples.astype(np.float64)
    norms, lengths = np.sqrt(points.sum(axis=-1)), np.sqrt(others.sum(axis=-1))
    products = norms[:, :, None] * lengths[:, None, :]  # (N, P, m)
    cosine = np.divide(points @ others.transpose(0, 2, 1), products, out=np.zeros_like(products), where=products > 0)
    return np.rint((1 - cosine) * 1e9).astype(np.int64)
