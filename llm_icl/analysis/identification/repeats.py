"""Questions that were asked again: how far a subject's answers are its own rule, and how far they are noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

# How well answers repeat is known from so many questions or more, for each number of examples.
LEAST_REPEATED = 20


@dataclass(frozen=True)
class Repeats:
    """How many labels were answered to every question, and how many of them are 1, (M, C, Q)."""

    count: Counts
    ones: Counts

    def at(self, sizes: list[int]) -> "Repeats":
        """The part with some of the numbers of examples, by their indices."""
        return Repeats(self.count[sizes], self.ones[sizes])

    def of(self, problems: NDArray[np.bool_]) -> "Repeats":
        """The part with some of the problems (C,)."""
        return Repeats(self.count[:, problems], self.ones[:, problems])

    @property
    def agreement(self) -> Floats | None:
        """The probability that two answers to one question agree, (M,); None where few questions were repeated."""
        again = self.count > 1
        if again.sum(axis=(1, 2)).min() < LEAST_REPEATED:
            return None
        pairs = self.count * (self.count - 1)
        zeros = self.count - self.ones
        same = (self.ones * (self.ones - 1) + zeros * (zeros - 1)) / np.maximum(pairs, 1)
        return np.array([same[m][again[m]].mean() for m in range(len(again))])

    def products(self, model: Floats, drawn: Floats, random: np.random.Generator) -> Floats:
        """The sum over pairs of answers to one question of the product of their standardised deviations from P(answer
        1) (M, C, Q): of these answers, and of as many simulated ones. drawn (R, M, C, Q) are the probabilities that
        simulated answers have. 1 + R numbers, around 0 if nothing but the model comes back.
        """
        again = self.count > 1
        p, count = model[again], self.count[again]
        simulated = random.binomial(count, drawn[:, again])
        ones = np.concatenate([self.ones[again][None], simulated])  # (1 + R, repeated questions)
        total = (ones - count * p) ** 2
        own = ones * (1 - p) ** 2 + (count - ones) * p**2
        return ((total - own) / (2 * p * (1 - p))).sum(axis=1)
