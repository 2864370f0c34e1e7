"""Answers as columns of bytes, for the panel of a page in which each of them can be looked at (page/problems.js).

Columns hold cell after cell, each learner by learner, problem by problem and position by position. answers: 0 not
asked, 1 and 2 the answers 0 and 1, then the statuses of what is no answer; probabilities: thousandths of P(y = 1), 16
bits; truths of the queries: the label, plus 2 where it was seen, or UNSCORED; bits and shown labels of all points.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Prompts and replies of more characters than this are sampled.
MOST_TEXT = 20_000_000
# The truth of a query to which no answer is right or wrong.
UNSCORED = 4
_NO_PROBABILITY = 65535

# A text: learner, problem, positions, prompt and reply.
Text = list[Any]


def codes(prediction: NDArray[np.float64], status: NDArray[np.int8]) -> bytes:
    """Of predictions 0, 1 or NaN, and the places of their statuses in STATUSES, -1 where nothing was asked."""
    usable = ~np.isnan(prediction)
    without = np.where(status < 0, 0, np.maximum(status, 1) + 2)
    return np.where(usable, np.nan_to_num(prediction) + 1, without).astype(np.uint8).tobytes()


def thousandths(probability: NDArray[np.float64]) -> bytes:
    known = ~np.isnan(probability)
    rounded = np.where(known, np.round(1000 * np.nan_to_num(probability)), _NO_PROBABILITY)
    return rounded.astype("<u2").tobytes()


def bits_of(parts: Sequence[NDArray[np.uint8]]) -> bytes:
    """Bits of all cells in a row."""
    return np.packbits(np.concatenate([part.ravel() for part in parts])).tobytes()


def sampled(texts: list[list[Text]]) -> tuple[list[list[Text]], str]:
    """The texts of each cell; of more than MOST_TEXT characters those of every k-th problem, which a note says."""
    whole = sum(len(row[3]) + len(row[4]) for rows in texts for row in rows)
    if whole <= MOST_TEXT:
        return texts, ""
    every = -(-whole // MOST_TEXT)
    kept = [[row for row in rows if row[1] % every == 0] for rows in texts]
    return kept, f" Prompts and replies are those of one problem in {every}; exchanges.jsonl of the run has all."
