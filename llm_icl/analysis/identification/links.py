"""From a candidate's P(y = 1) to a subject's: how it reads the candidate out.

A subject may answer with the candidate's label or in proportion to its probability, more or less sharply, with a bias
towards one label, and with lapses (the psychometric function of Wichmann & Hill 2001):

    label:        P(answer 1) is one number where the candidate says 1 and another where it says 0
    probability:  P(answer 1) = e + (1 - 2e) σ(a + b logit p), b ≥ 0

for each number of examples separately. The first is the second for candidates that are always certain.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# p is clipped to this distance from 0 and 1.
CLIP = 0.002
REACH = float(np.log((1 - CLIP) / CLIP))
LAPSES = (0.001, 0.01, 0.05, 0.12, 0.25)
# Logits are grouped into so many bins for fitting, of equal width in the square root: narrow near 0, where a subject
# that gives labels decides.
_BINS = 63
_ITERATIONS = 25
_END = 0.1
_MOST = 400.0


@dataclass(frozen=True)
class Links:
    """Fitted links of V candidates at M sizes.

    read_label (V,) says whether the label is read; if so, `label` (V, M, 2) is P(answer 1) for either label; else
    `curve` (V, M, 3) is a, b, e.
    """

    read_label: NDArray[np.bool_]
    label: Floats
    curve: Floats

    def of(self, chosen: NDArray[np.int64]) -> "Links":
        """The links of some of the candidates."""
        return Links(self.read_label[chosen], self.label[chosen], self.curve[chosen])

    def everywhere(self, m: int) -> "Links":
        """The links of one size, at all sizes."""
        return Links(self.read_label, *(np.repeat(each[:, m : m + 1], each.shape[1], axis=1)
                                        for each in (self.label, self.curve)))  # fmt: skip

    def apply(self, probability: Floats) -> Floats:
        """P(answer 1) of candidates' P(y = 1), (V, M, ...)."""
        axes = tuple(range(2, probability.ndim))

        def wide(values: Floats) -> Floats:
            return np.expand_dims(values, axes)

        a, b, lapse = (wide(self.curve[..., i]) for i in range(3))
        curve = lapse + (1 - 2 * lapse) * sigmoid(a + b * logit(probability))
        label = np.where(probability > 0.5, wide(self.label[..., 1]), wide(self.label[..., 0]))
        return np.where(np.expand_dims(self.read_label, (1, *axes)), label, curve)


def logit(probability: Floats) -> Floats:
    clipped = np.clip(probability, CLIP, 1 - CLIP)
    return np.log(clipped / (1 - clipped))


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-np.clip(x, -500, 500)))


class Tallies:
    """What fitting needs to know of V candidates and a subject: answers and answers 1 by size, problem group and bin.

    answers (M, C, Q) are the subject's P(1) or labels, NaN if missing; groups (C,) numbers the problems' folds.
    """

    def __init__(self, probability: Floats, answers: Floats, groups: NDArray[np.int64]) -> None:
        candidates, sizes = probability.shape[:2]
        self.certain = ((probability < CLIP) | (probability > 1 - CLIP)).all(axis=(1, 2, 3))  # (V,)
        logits = logit(probability)
        reach = np.sqrt(REACH)
        width = 2 * reach / _BINS
        roots = np.sign(logits) * np.sqrt(np.abs(logits))
        bins = np.minimum(((roots + reach) / width).astype(np.int64), _BINS - 1)  # (V, M, C, Q)
        known = ~np.isnan(answers)
        ones = np.where(known, answers, 0.0)
        folds = int(groups.max()) + 1

        def count(places: NDArray[np.int64], number: int, values: Floats) -> Floats:
            """Sums of values over (folds, V, M, number) of places (V, M, C, Q)."""
            shape = (folds, candidates, sizes, number)
            v, m = np.arange(candidates)[:, None, None, None], np.arange(sizes)[:, None, None]
            index = np.ravel_multi_index((groups[:, None], v, m, places), shape)
            values = np.broadcast_to(values, places.shape)
            sums = np.bincount(index.ravel(), values.ravel(), minlength=int(np.prod(shape)))
            return sums.astype(np.float64).reshape(shape)

        self.bin_count, self.bin_ones = count(bins, _BINS, known), count(bins, _BINS, ones)
        total, sums = (count(bins, _BINS, values).sum(axis=0) for values in (np.ones(1), logits))
        self.bin_logit = np.where(total > 0, sums / np.maximum(total, 1), 0.0)  # (V, M, B); 0 for bins without queries
        # Where the next fit starts: most of the data are the same.
        self._start = np.stack([np.zeros(shape := (len(LAPSES), candidates, sizes)), np.full(shape, 0.5)])
        labels = (probability > 0.5).astype(np.int64)
        self.label_count, self.label_ones = count(labels, 2, known), count(labels, 2, ones)

    def fit(self, folds: NDArray[np.int64] | slice = slice(None)) -> tuple[Links, Floats]:
        """The most likely links from the chosen folds, and their log scores (V,), summed over the answers."""
        label_count, label_ones = self.label_count[folds].sum(axis=0), self.label_ones[folds].sum(axis=0)
        label = (label_ones + 0.5) / (label_count + 1)  # (V, M, 2): Krichevsky & Trofimov 1981
        pooled = (label_ones.sum(axis=-1) + 0.5) / (label_count.sum(axis=-1) + 1)
        label = np.where((label[..., 1] >= label[..., 0])[..., None], label, pooled[..., None])  # b ≥ 0
        label_score = log_score(label_ones, label_count, label).sum(axis=(1, 2))
        curve, curve_score, self._start = _fit_curves(
            self.bin_count[folds].sum(axis=0), self.bin_ones[folds].sum(axis=0), self.bin_logit, self._start
        )
        read_label = self.certain | (label_score >= curve_score)
        return Links(read_label, label, curve), np.where(read_label, label_score, curve_score)


def log_score(ones: Floats, count: Floats, probability: Floats) -> Floats:
    return ones * np.log(probability) + (count - ones) * np.log(1 - probability)


def _fit_curves(count: Floats, ones: Floats, logits: Floats, start: Floats) -> tuple[Floats, Floats, Floats]:
    """The curves (V, M, 3) of answers by bin, each (V, M, B), their log scores (V,), and a and b for every lapse.

    Newton's method with Levenberg's damping for all candidates, sizes and lapses at once. A tenth of an answer of ½ at
    either end keeps the slope finite where a threshold separates the answers.
    """
    ends = np.broadcast_to(np.array([-REACH, REACH]), (*logits.shape[:2], 2))
    x = np.concatenate([logits, ends], axis=-1)
    n = np.concatenate([count, np.full_like(ends, _END)], axis=-1)
    y = np.concatenate([ones, np.full_like(ends, _END / 2)], axis=-1)
    lapse = np.array(LAPSES)[:, None, None, None]

    def curve(a: Floats, b: Floats) -> tuple[Floats, Floats]:
        s = sigmoid(a[..., None] + b[..., None] * x)
        return lapse + (1 - 2 * lapse) * s, (1 - 2 * lapse) * s * (1 - s)

    (a, b), damping = start, np.full(start.shape[1:], 1e-3)
    probability, slope = curve(a, b)
    score = log_score(y, n, probability).sum(axis=-1)
    for _ in range(_ITERATIONS):
        variance = probability * (1 - probability)
        gradient = (y - n * probability) * slope / variance
        weight = n * slope**2 / variance
        g0, g1 = gradient.sum(axis=-1), (gradient * x).sum(axis=-1)
        h0, h1 = weight.sum(axis=-1) + damping, (weight * x).sum(axis=-1)
        h2 = (weight * x**2).sum(axis=-1) + damping
        determinant = np.maximum(h0 * h2 - h1**2, 1e-12)
        most = 3 + b  # a step at most doubles a steep slope
        new_a = np.clip(a + np.clip((h2 * g0 - h1 * g1) / determinant, -most, most), -_MOST, _MOST)
        new_b = np.clip(b + np.clip((h0 * g1 - h1 * g0) / determinant, -most, most), 0, _MOST)
        tried, tried_slope = curve(new_a, new_b)
        new_score = log_score(y, n, tried).sum(axis=-1)
        better = new_score > score
        gain = np.where(better, new_score - score, 0.0)
        a, b, score = np.where(better, new_a, a), np.where(better, new_b, b), np.where(better, new_score, score)
        probability = np.where(better[..., None], tried, probability)
        slope = np.where(better[..., None], tried_slope, slope)
        damping = np.where(better, damping / 5, damping * 8)
        if gain.max() < 1e-4 and damping[~better].min(initial=np.inf) > 1:
            break
    best = score.argmax(axis=0)[None]  # (1, V, M)
    chosen = [np.take_along_axis(values, best, axis=0)[0] for values in (a, b)]
    curves = np.stack([*chosen, np.array(LAPSES)[best[0]]], axis=-1)  # (V, M, 3)
    fitted = np.take_along_axis(probability, best[..., None], axis=0)[0]
    return curves, log_score(ones, count, fitted[..., :-2]).sum(axis=(1, 2)), np.stack([a, b])
