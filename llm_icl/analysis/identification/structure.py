"""Is anything left? Tests whether a subject deviates from a model of its answers at random, or according to something.

Five kinds of structure are looked for in the standardised deviations: a pull towards any candidate or feature (linear);
a pull that has another sign or size in each context (slopes); deviations that resemble each other within a context or a
problem, more so for similar queries, or that are large in few of them (clusters); whatever a flexible model,
cross-fitted over problems, can predict of them (flexible); and deviations that come back when a question is asked again
(repeats). Each kind's statistic is the largest of its standardised parts; the p-value is that of the smallest of the
five (Westfall & Young 1993), so that the number of things that were looked at is accounted for.

If the model holds, labels are independent draws from its P(answer 1): the null distribution is simulated from it. The
noise of probabilities is unknown. Within queries of equal size and similar P(answer 1) deviations are then
exchangeable, so they are permuted; and as probabilities can show deviations however small, only pulls count that
matter: that would add a stated share to what the model explains.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.links import logit
from llm_icl.analysis.identification.strata import centred, orthonormal, per_stratum_variance, permutations, strata_of

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

DRAWS = 499
# A pull this many standard deviations strong needs no simulation.
OBVIOUS = 7.0
# Pulls in probabilities count if following them would add this share to what is explained, in nats.
MATTERS = 0.01
# The flexible model: kernel ridge regression on standardised features (their number is F), with this penalty and a
# Gaussian kernel of this width times √F.
RIDGE = 1.0
WIDTH = 1.0
# It is trained on at most so many queries, of problems that are drawn.
MOST = 3000
# Queries of one context resemble each other by exp(-Hamming distance / RANGE).
RANGE = 1.0

# Of a family so many variants, evenly spread, are directions.
VARIANTS = 5


@dataclass(frozen=True)
class Left:
    """What is left of a subject beyond a model: the p-value, those of the kinds, and what the strongest is about.

    gain is the log score, in nats over all answers, that following the strongest linear pull would add.
    """

    p_value: float
    kinds: dict[str, float]
    about: str
    gain: float


class Structure:
    """What deviations of any subject on one design are compared with."""

    def __init__(self, design: Design) -> None:
        self.design = design
        self.sizes, self.problems, self.queries = design.shape
        self.size = np.repeat(np.arange(self.sizes), self.problems * self.queries)  # (N,)

    @cached_property
    def toward(self) -> tuple[Floats, list[str]]:
        """The labels of every candidate, ±1, (N, K); of a family, those of its middle variant."""
        columns = [(c.middle > 0.5).ravel() * 2.0 - 1 for c in self.design.candidates]
        return np.stack(columns, axis=1), self.design.names

    @cached_property
    def linear(self) -> tuple[Floats, list[str]]:
        """Directions (N, J): candidates' logits and labels, and features; and what each is about."""
        columns, names = [], []
        for candidate in self.design.candidates:
            for variant in candidate.probability[evenly(len(candidate.probability), VARIANTS)]:
                columns += [logit(variant).ravel(), (variant > 0.5).ravel() * 1.0]
                names += [f"the answers of {candidate.name}"] * 2
        features = self.design.features.reshape(len(self.size), -1)
        columns += list(features.T)
        names += self.design.feature_names
        matrix = np.stack(columns, axis=1)
        varies = matrix.std(axis=0) > 1e-9
        matrix = matrix[:, varies]
        names = [name for name, used in zip(names, varies, strict=True) if used]
        matrix = (matrix - matrix.mean(axis=0)) / matrix.std(axis=0)
        _, first = np.unique(matrix.round(9), axis=1, return_index=True)
        first = np.sort(first)
        return matrix[:, first], [names[i] for i in first]

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """The fold of each query, (N,)."""
        return np.tile(np.repeat(self.design.folds, self.queries), self.sizes)

    @cached_property
    def trained(self) -> NDArray[np.int64]:
        """The queries that the flexible model is trained on, (T,)."""
        problem = np.tile(np.repeat(np.arange(self.problems), self.queries), self.sizes)
        most = max(2, MOST // (self.sizes * self.queries))
        # Drawn, since those at equal distances may be of one fold.
        chosen = np.random.default_rng(0).permutation(self.problems)[:most]
        return np.flatnonzero(np.isin(problem, chosen))

    @cached_property
    def kernel(self) -> Singles:
        """The flexible model's similarities of all queries and those it is trained on, (N, T)."""
        matrix, _ = self.linear
        sizes = np.eye(self.sizes)[self.size] * np.sqrt(self.sizes)
        x = np.concatenate([matrix, sizes], axis=1).astype(np.float32)
        squares = (x**2).sum(axis=1)
        distances = np.maximum(squares[:, None] + squares[self.trained] - 2 * x @ x[self.trained].T, 0)
        return np.exp(-distances / (2 * WIDTH**2 * x.shape[1]))

    @cached_property
    def smoother(self) -> Singles:
        """The flexible model as a matrix (N, T): cross-fitted predictions of deviations from the other folds'."""
        from scipy.linalg import solve

        smoother, among = np.zeros_like(self.kernel), self.kernel[self.trained]
        for fold in range(self.folds.max() + 1):
            train, test = np.flatnonzero(self.folds[self.trained] != fold), np.flatnonzero(self.folds == fold)
            inner = among[np.ix_(train, train)] + RIDGE * np.eye(len(train), dtype=np.float32)
            smoother[np.ix_(test, train)] = solve(inner, self.kernel[np.ix_(test, train)].T, assume_a="pos").T
        return smoother

    @cached_property
    def near(self) -> tuple[Singles, Singles]:
        """Similarities of the queries of one context (C, M, Q, Q), and of one problem's contexts (C, MQ, MQ)."""
        queries = self.design.queries.transpose(1, 0, 2, 3)  # (C, M, Q, n)
        within = (queries[:, :, :, None] != queries[:, :, None]).sum(axis=-1)
        together = queries.reshape(self.problems, -1, self.design.n)
        across = (together[:, :, None] != together[:, None]).sum(axis=-1)
        same = np.eye(self.queries, dtype=bool)
        context = np.kron(np.eye(self.sizes), np.ones((self.queries, self.queries))).astype(bool)
        near = np.where(same, 0, np.exp(-within / RANGE)), np.where(context, 0, np.exp(-across / RANGE))
        return near[0].astype(np.float32), near[1].astype(np.float32)

    def left(
        self,
        answers: Floats,
        model: Floats,
        probabilities: bool,
        explained: float,
        seed: int,
        slopes: bool = True,
        neighbours: Floats | None = None,
        repeats: Floats | None = None,
    ) -> Left:
        """What a model's P(answer 1) (M, C, Q) leaves of answers (M, C, Q), NaN if missing.

        explained is the log score, in nats over all answers, by which the model is above a constant. Deviations towards
        its neighbours (B, M, C, Q), the same model with other variants of a family, do not count: the family's
        parameters are continuous, and its variants only a grid. repeats (1 + R,) says how far the deviations
        of labels come back when questions are asked again, and how far they would by chance.
        """
        known = ~np.isnan(answers).ravel()
        strata = strata_of(model, ~np.isnan(answers)).ravel()
        p = model.ravel()
        spread = np.sqrt(p * (1 - p))
        deviations = np.where(known, (np.nan_to_num(answers).ravel() - p) / spread, 0.0)

        def without(values: Floats) -> Floats:
            """Values (N, J) without their means by stratum, and without the neighbours' directions."""
            rest = centred(values, strata)
            return rest - nuisance @ (nuisance.T @ rest)

        nuisance = np.zeros((len(p), 0))
        if neighbours is not None:
            nuisance = orthonormal(centred((neighbours.reshape(-1, len(p)) - p).T / spread[:, None], strata))
        deviations = without(deviations[:, None])[:, 0]
        matrix, names = self.linear
        matrix = without(matrix * spread[:, None])  # following f adds p (1 - p) f to the model
        by_size = np.eye(self.sizes)[self.size]  # (N, M)
        noise = by_size.T @ matrix**2  # (M, J)
        variance = (
            by_size.T @ (per_stratum_variance(deviations, strata)[:, None] * matrix**2) if probabilities else noise
        )
        pulls = deviations @ matrix
        gains = 0.5 * pulls**2 / np.maximum(noise.sum(axis=0), 1e-9)
        strength = np.abs(pulls) / np.sqrt(np.maximum(variance.sum(axis=0), 1e-12))
        least = MATTERS / (1 - MATTERS) * max(explained, 0.0) if probabilities else 0.0
        if not names or 0.5 * (deviations**2).sum() < least:
            return Left(1.0, {}, "", 0.0)
        strength[gains < least] = 0
        strongest = int(strength.argmax())
        if strength[strongest] > OBVIOUS:
            return Left(0.0, {"linear": 0.0}, names[strongest], float(gains[strongest]))

        random = np.random.default_rng(seed)
        draws = DRAWS if repeats is None else len(repeats) - 1
        if probabilities:
            drawn = deviations[permutations(strata, draws, random)]
        else:
            labels = random.random((draws, len(p)), dtype=np.float32) < p
            drawn = np.where(known, (labels - p) / spread, 0.0)
            drawn = np.concatenate([deviations[None], without(drawn.T).T])
        every = drawn.astype(np.float32)  # (R, N), the data first
        contexts = every.reshape(-1, self.sizes, self.problems, self.queries)
        parts = {"linear": self._linear(every, matrix, noise)}
        if slopes and self.queries > 1:
            parts["slopes"] = self._slopes(contexts, strata)
        if self.sizes * self.queries > 1:
            parts["clusters"] = self._clusters(contexts, probabilities)
        fitted = every[:, self.trained] @ self.smoother.T
        together = (fitted * every).sum(axis=1)
        parts["flexible"] = (together / np.sqrt((fitted**2).sum(axis=1) + 1e-9))[:, None]
        if repeats is not None:
            parts["repeats"] = repeats.astype(np.float32)[:, None]
        return _combined(parts, least, names, self.toward[1], float(gains[strongest]))

    def _linear(self, drawn: Singles, matrix: Floats, noise: Floats) -> Singles:
        """The strength of each pull overall and at each size, (R, J + MJ)."""
        matrix = matrix.astype(np.float32)
        each = np.stack([drawn[:, self.size == m] @ matrix[self.size == m] for m in range(self.sizes)], axis=1)
        scale = np.sqrt(noise).astype(np.float32)  # (M, J)
        overall = each.sum(axis=1) / np.maximum(np.sqrt((scale**2).sum(axis=0)), 1e-6)
        single = each / np.maximum(scale, 1e-6)
        return np.abs(np.concatenate([overall, single.reshape(len(drawn), -1)], axis=1))

    def _slopes(self, contexts: Singles, strata: NDArray[np.int64]) -> Singles:
        """Σ over contexts of the squared pull towards each candidate, less its expectation, (R, K)."""
        toward = centred(self.toward[0], strata).astype(np.float32)
        toward = toward.reshape(self.sizes, self.problems, self.queries, -1)
        columns = []
        for k in range(toward.shape[-1]):
            parts = contexts * toward[..., k]
            columns.append((parts.sum(axis=-1) ** 2).sum(axis=(1, 2)) - (parts**2).sum(axis=(1, 2, 3)))
        return np.stack(columns, axis=1)

    def _clusters(self, contexts: Singles, probabilities: bool) -> Singles:
        """Products of deviations within contexts and across the contexts of a problem: of all pairs, weighted by the
        similarity of their queries, and, of labels, whose noise has a known size, of their squares (large deviations
        are in few contexts), (R, 4 or 6).
        """
        by_problem = contexts.transpose(2, 0, 1, 3)  # (C, R, M, Q)
        within, across = self.near
        near = np.zeros(by_problem.shape[1], dtype=np.float32)
        for m in range(self.sizes):
            near += ((by_problem[:, :, m] @ within[:, m]) * by_problem[:, :, m]).sum(axis=(0, 2))
        flat = by_problem.reshape(self.problems, len(contexts), -1)
        near_across = ((flat @ across) * flat).sum(axis=(0, 2))
        columns = [*_products(by_problem), near, near_across]
        if not probabilities:
            columns += _products(by_problem**2 - 1)
        return np.stack(columns, axis=1)


def _products(values: Singles) -> tuple[Singles, Singles]:
    """Sums over pairs of values (C, R, M, Q) in one context, and in different contexts of one problem, (R,) each."""
    context, problem = values.sum(axis=-1), values.sum(axis=(-1, -2))
    squares = (context**2).sum(axis=(0, 2))
    return squares - (values**2).sum(axis=(0, 2, 3)), (problem**2).sum(axis=0) - squares


def evenly(count: int, most: int) -> list[int]:
    """At most so many indices, evenly spread over 0 … count - 1."""
    return sorted({round(i) for i in np.linspace(0, count - 1, most)})


def _combined(parts: dict[str, Singles], least: float, names: list[str], candidates: list[str], gain: float) -> Left:
    """The p-value over all kinds, and what the strongest of them is about.

    Linear and flexible parts are in standard deviations under independent noise of the model's variance, so that half
    their squares are what following them would gain, in nats; those that gain less than `least` do not count.
    """
    ranks, strongest = {}, {}
    for kind, values in parts.items():
        scale = values[1:].std(axis=0)
        standard = (values - values[1:].mean(axis=0)) / np.where(scale > 1e-9, scale, np.inf)
        if kind in ("linear", "flexible"):
            standard[0, values[0] ** 2 / 2 < least] = -np.inf
        largest = standard.max(axis=1)
        ranks[kind] = (largest[None] >= largest[:, None]).mean(axis=1)
        strongest[kind] = int(standard[0].argmax())
    smallest = np.min(list(ranks.values()), axis=0)
    first = min(ranks, key=lambda kind: ranks[kind][0])
    about = {
        "linear": names[strongest["linear"] % len(names)],
        "slopes": f"how far it follows {candidates[strongest.get('slopes', 0)]} in each context",
        "clusters": "the context" if strongest.get("clusters", 0) % 2 == 0 else "the problem",
        "flexible": "several features together",
        "repeats": "the question itself (deviations come back when it is asked again)",
    }[first]
    kinds = {kind: float(rank[0]) for kind, rank in ranks.items()}
    return Left(float((smallest <= smallest[0]).mean()), kinds, about, gain)
