"""Comparisons made of given numbers, for tests of what is concluded from them."""

from collections.abc import Mapping

import numpy as np
import polars as pl

from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import SIMAOU
from llm_icl.experiments.finetuning.methods import (
    METHOD,
    PUBLISHED_METHOD,
    RANDOM,
    UNTRAINED,
    UNTRAINED_RANDOM,
    draws,
)

EXAMPLES = 60


def compared(values, answers=None, nulls=None, losses=None, rates=None, candidates=(0.01, 0.1)) -> Compared:
    """Of a measure's values by method, (E, S) each: SimAOU's, or several measures' in a mapping. The values of random
    updates are 0 unless they are in `nulls`. Answers that are not given are right for some queries.
    """
    if not isinstance(next(iter(values.values())), Mapping):
        values = {SIMAOU.name: values}
    measures, answered = [], []
    methods = list(dict.fromkeys(method for some in values.values() for method in some))
    (shape,) = {array.shape for some in values.values() for array in some.values()}
    names = [*methods, RANDOM, *([UNTRAINED_RANDOM] if UNTRAINED in methods else [])]
    for method in names:
        for draw in draws(method):
            for seed in range(shape[1]):
                examples = np.arange(shape[0])
                fixed = {METHOD: draw, "seed": seed + 1, "example": examples}
                for name, some in values.items():
                    numbers = some.get(method, (nulls or {}).get(method, np.zeros(shape)))
                    measures.append(pl.DataFrame(fixed | {"measure": name, "value": numbers[:, seed]}))
                right = (answers or {}).get(draw, (answers or {}).get("", None))
                right = right or {"zs": examples % 2, "icl": examples % 3 > 0, "ft": examples % 5 > 0}
                own = {key: _column(some, seed).astype(int) for key, some in right.items()}
                answered.append(pl.DataFrame(fixed | {"label": np.ones(shape[0], int)} | own))
    layers = pl.DataFrame({METHOD: [PUBLISHED_METHOD], "measure": [SIMAOU.name], "layer": [0], "value": [0.1]})
    seeds, ways = range(1, shape[1] + 1), [draw for method in names for draw in draws(method)]
    return Compared(
        pl.concat(answered), pl.concat(measures), layers,
        rates or {method: dict.fromkeys(seeds, 0.01) for method in methods}, candidates, dict.fromkeys(seeds, 4),
        dict.fromkeys(seeds, 0.5), losses or {way: dict.fromkeys(seeds, (3.0, 2.5)) for way in ways},
        {way: dict.fromkeys(seeds, 1.0) for way in ways},
    )  # fmt: skip


def around(level, spread, seed=0, draws_of_demonstrations=5, between=0.0):
    """Values (E, S) around a level: queries differ by `spread`, draws of demonstrations by `between`."""
    rng = np.random.default_rng(seed)
    queries = rng.normal(size=(EXAMPLES, draws_of_demonstrations))
    seeds = rng.normal(size=draws_of_demonstrations)
    return level + spread * (queries - queries.mean()) + between * (seeds - seeds.mean())


def _column(values, seed):
    values = np.asarray(values)
    return values if values.ndim == 1 else values[:, seed]
