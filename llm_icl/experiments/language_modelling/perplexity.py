"""Perplexities of language models that were trained alike, and how they differ.

Frames have a row for each attention, seed, length and window of held-out tokens, with the summed loss in nats. The
unit is the training: another seed is another beginning and other batches, the same ones for all attentions.
"""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import Estimate, mean


def perplexity(losses: pl.DataFrame, attention: str, length: int, window: int) -> Estimate:
    """exp of the mean loss of a token over trainings; `window` is the number of tokens in one."""
    means = _losses(losses, attention, length).mean(axis=1) / window
    return Estimate(*np.exp(mean(means, np.ones(len(means)))).tolist())


def change(losses: pl.DataFrame, attention: str, other: str, length: int, window: int) -> Estimate:
    """By what share an attention's perplexity is above the other's, paired by seed; the interval is over trainings."""
    paired = _losses(losses, attention, length) - _losses(losses, other, length)
    means = paired.mean(axis=1) / window
    return _share(mean(means, np.ones(len(means))))


def change_over_text(losses: pl.DataFrame, attention: str, other: str, length: int, window: int) -> Estimate:
    """The same, its interval being over the windows of the text: these very models on another such text."""
    paired = _losses(losses, attention, length) - _losses(losses, other, length)
    means = paired.mean(axis=0) / window
    return _share(mean(means, np.ones(len(means))))


def _losses(losses: pl.DataFrame, attention: str, length: int) -> NDArray[np.float64]:
    """[seeds, windows]"""
    rows = losses.filter((pl.col("attention") == attention) & (pl.col("length") == length)).sort("seed", "window")
    return rows["loss"].to_numpy().reshape(rows["seed"].n_unique(), -1)


def _share(difference: Estimate) -> Estimate:
    if not np.isfinite(difference.high):  # one training tells nothing of others
        return Estimate(float(np.expm1(difference.value)), -np.inf, np.inf)
    return Estimate(*np.expm1(difference).tolist())
