"""What is compared: candidates' answers to the queries of many contexts, and a subject's."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.features import describe, feature_names
from llm_icl.problems import Bits

Floats = NDArray[np.float64]

# Groups of contexts for cross-fitting. All contexts of one problem are in the same one.
FOLDS = 5


@dataclass(frozen=True)
class Candidate:
    """An algorithm and its P(y = 1) at every query, (V, M, C, Q).

    A family has V > 1 variants, of which one is selected by the likelihood, on the training folds only.
    """

    name: str
    probability: Floats
    variants: tuple[str, ...] = ()

    @property
    def is_family(self) -> bool:
        return len(self.probability) > 1

    @property
    def middle(self) -> Floats:
        """The answers (M, C, Q) of the variant that stands for a family where one must."""
        return self.probability[len(self.probability) // 2]

    def closest(self, variant: int, count: int) -> NDArray[np.int64]:
        """The other variants whose answers differ least from a variant's."""
        order = np.argsort(np.abs(self.probability - self.probability[variant]).mean(axis=(1, 2, 3)), kind="stable")
        return order[order != variant][:count]

    def spread(self, variants: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        """Some variants and others that differ most from all before them, until there are `count`."""
        chosen, answers = list(variants), self.probability.reshape(len(self.probability), -1)
        distance = np.min([np.abs(answers - answers[v]).mean(axis=1) for v in chosen], axis=0)
        while len(chosen) < min(count, len(answers)):
            chosen.append(int(distance.argmax()))
            distance = np.minimum(distance, np.abs(answers - answers[chosen[-1]]).mean(axis=1))
        return np.array(chosen)


@dataclass(frozen=True)
class Design:
    """Q queries behind each of C problems' first m examples, for M numbers of examples m, and the candidates' answers.

    xs and shown are the examples of every size, (C, m, n) and (C, m); queries (M, C, Q, n). Problems are the
    independent units: the M contexts of one problem share their first examples.

    Queries that were asked along a curve have a context each: `before` (M, C, Q) is then the number of examples before
    every query, the first ones of xs and shown, and -1 where there is no query; a size is a range of such numbers.
    """

    sizes: tuple[int, ...]
    xs: Sequence[Bits]
    shown: Sequence[Bits]
    queries: Bits
    candidates: tuple[Candidate, ...]
    before: NDArray[np.int64] | None = None

    @property
    def names(self) -> list[str]:
        return [candidate.name for candidate in self.candidates]

    @property
    def shape(self) -> tuple[int, int, int]:
        """M sizes, C problems, Q queries."""
        sizes, problems, queries, _ = self.queries.shape
        return sizes, problems, queries

    @property
    def n(self) -> int:
        return int(self.queries.shape[-1])

    @cached_property
    def seen(self) -> Floats:
        """The share of the queries that stand among the examples, (M,): at a small n too few others are left."""
        each = zip(self.xs, self.queries, strict=True)  # (C, m, n), (C, Q, n)
        return np.array([(xs[:, None] == asked[:, :, None]).all(-1).any(-1).mean() for xs, asked in each])

    @cached_property
    def features(self) -> Floats:
        """What an unknown algorithm may look at, (M, C, Q, F); 0 where there is no query."""
        each = zip(self.xs, self.shown, self.queries, strict=True)
        if self.before is None:
            return np.stack([describe(xs, shown, queries) for xs, shown, queries in each])
        found = np.zeros((*self.shape, len(self.feature_names)))
        for m, (xs, shown, queries) in enumerate(each):
            for count in np.unique(self.before[m][self.before[m] >= 0]):
                c, q = np.nonzero(self.before[m] == count)
                found[m, c, q] = describe(xs[c, :count], shown[c, :count], queries[c, q][:, None])[:, 0]
        return found

    @property
    def known(self) -> NDArray[np.bool_]:
        """Where there is a query, (M, C, Q)."""
        return np.ones(self.shape, dtype=bool) if self.before is None else self.before >= 0

    @property
    def share_contexts(self) -> bool:
        """Whether all queries of a problem at one size are behind the same examples."""
        return self.before is None

    @cached_property
    def feature_names(self) -> list[str]:
        return feature_names(self.n)

    @cached_property
    def folds(self) -> NDArray[np.int64]:
        """The fold of each problem, (C,)."""
        return np.arange(self.shape[1]) % min(FOLDS, self.shape[1])

    def of(self, chosen: NDArray[np.bool_]) -> "Design":
        """The part with some of the problems (C,)."""
        candidates = tuple(
            Candidate(candidate.name, candidate.probability[:, :, chosen], candidate.variants)
            for candidate in self.candidates
        )
        xs, shown = [xs[chosen] for xs in self.xs], [shown[chosen] for shown in self.shown]
        before = None if self.before is None else self.before[:, chosen]
        return Design(self.sizes, xs, shown, self.queries[:, chosen], candidates, before)

    def at(self, chosen: Sequence[int]) -> "Design":
        """The part with some of the numbers of examples, by their indices."""
        kept = list(chosen)
        candidates = tuple(
            Candidate(candidate.name, candidate.probability[:, kept], candidate.variants)
            for candidate in self.candidates
        )
        xs, shown = [self.xs[m] for m in kept], [self.shown[m] for m in kept]
        before = None if self.before is None else self.before[kept]
        return Design(tuple(self.sizes[m] for m in kept), xs, shown, self.queries[kept], candidates, before)
