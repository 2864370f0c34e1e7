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

    def one(self) -> Floats:
        """One of the labels of every question, drawn, (M, C, Q), NaN where there is none: their majority is less noisy
        than the subject, and which of them is the first may depend on what was answered.
        """
        given = self.count > 0
        label = np.random.default_rng(0).random(given.shape) * self.count < self.ones
        return np.where(given, label, np.nan)

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

    def come_back(
        self, fitted: Floats, model: Floats, drawn: Floats, counted: NDArray[np.bool_], random: np.random.Generator
    ) -> Floats:
        """How far the deviations of the answers to which models are fitted (`one`, (M, C, Q)) from P(answer 1) come
        back when a question is asked again: the sum of their products with the mean deviation of the other answers to
        it, over counted questions.

        Other answers have no part in the fit of the model, so that its errors do not come back. (1 + R,), of these
        answers and of as many simulated ones, which have the probabilities drawn (R, M, C, Q).
        """
        again = (self.count > 1) & counted
        p, label, others = model[again], fitted[again], self.count[again] - 1
        found = ((label - p) * ((self.ones[again] - label) / others - p)).sum()
        probability = drawn[:, again]  # (R, repeated questions)
        labels = random.random(probability.shape) < probability
        simulated = (labels - p) * (random.binomial(others, probability) / others - p)
        return np.append(found, simulated.sum(axis=1))
