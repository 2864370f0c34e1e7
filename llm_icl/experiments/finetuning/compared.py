"""The results of a comparison as tables."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from llm_icl.experiments.finetuning.methods import METHOD
from llm_icl.experiments.finetuning.study import Findings


@dataclass(frozen=True)
class Compared:
    """answers: a row for each method, seed and example, with the label and the predictions in the three settings.
    measures: a row for each method, seed, example and measure, averaged over layers; layers: one for each method,
    layer and measure, averaged over examples and seeds. rates: the learning rate of each method and seed, chosen from
    the candidates. demonstrations: the number of each seed. unchanged_labels: the fraction of them whose label
    shuffling left unchanged. losses: the mean loss of the demonstrations, in nats a token, before the update and after
    it. scales: the factor by which each method's update was made as long as gradient descent's. left_out:
    the candidate rates of each seed at which a number was not finite.
    """

    answers: pl.DataFrame
    measures: pl.DataFrame
    layers: pl.DataFrame
    rates: dict[str, dict[int, float]]
    candidate_rates: tuple[float, ...]
    demonstrations: dict[int, int]
    unchanged_labels: dict[int, float]
    losses: dict[str, dict[int, tuple[float, float]]]
    scales: dict[str, dict[int, float]]
    left_out: dict[int, list[float]] = field(default_factory=dict)


def tables(found: Sequence[tuple[str, int, Findings]]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Answers, measures and layers of findings with their methods and seeds."""
    answers, measures = [], []
    by_layer: dict[tuple[str, str], list[Any]] = {}
    for method, seed, findings in found:
        examples = np.arange(len(findings.labels))
        row = {METHOD: method, "seed": seed, "example": examples}
        answers.append(pl.DataFrame(row | {"label": findings.labels} | findings.predictions))
        for name, values in findings.layers.items():  # (E, L)
            by_layer.setdefault((method, name), []).append(values)
            measures.append(pl.DataFrame(row | {"measure": name, "value": _mean(values, axis=1)}))
    layers = [
        pl.DataFrame({METHOD: method, "measure": name, "layer": np.arange(values[0].shape[1]),
                      "value": _mean(np.concatenate(values), axis=0)})
        for (method, name), values in by_layer.items()
    ]  # fmt: skip
    return pl.concat(answers), pl.concat(measures), pl.concat(layers)


def _mean(values: Any, axis: int) -> Any:
    """The mean of the defined values; NaN where there are none."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    return np.where(count > 0, np.where(defined, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)
