"""Perplexities of language models, and paired differences between attentions.

Frames have a row for each attention, seed, length and window of held-out tokens, with the summed loss in nats. The unit
is the training run: a seed determines initial weights and batches, which all attentions share.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import IDENTICAL, LEVEL, Estimate, student


def perplexity(losses: pl.DataFrame, attention: str, length: int, window: int) -> Estimate:
    """exp of the mean loss per token over seeds; `window` is the number of tokens per window."""
    means = _losses(losses, attention, length).mean(axis=1) / window
    return Estimate(*np.exp(student(means)).tolist())


def change(
    losses: pl.DataFrame, attention: str, other: str, length: int, window: int, level: float = LEVEL
) -> Estimate:
    """The relative difference in perplexity between two attentions, paired by seed; the interval is over seeds."""
    paired = _losses(losses, attention, length) - _losses(losses, other, length)
    means = paired.mean(axis=1) / window
    return _share(student(means, level)) if paired.any() else IDENTICAL


def change_over_text(losses: pl.DataFrame, attention: str, other: str, length: int, window: int) -> Estimate:
    """The same with an interval over windows of the text: these models on other text from the same source."""
    paired = _losses(losses, attention, length) - _losses(losses, other, length)
    means = paired.mean(axis=0) / window
    return _share(student(means))


def _losses(losses: pl.DataFrame, attention: str, length: int) -> NDArray[np.float64]:
    """(seeds, windows)"""
    rows = losses.filter((pl.col("attention") == attention) & (pl.col("length") == length)).sort("seed", "window")
    return rows["loss"].to_numpy().reshape(rows["seed"].n_unique(), -1)


def _share(difference: Estimate) -> Estimate:
    return Estimate(*np.expm1(difference).tolist())
