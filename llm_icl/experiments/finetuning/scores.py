"""Numbers with intervals from a comparison: over the queries and over the draws of demonstrations, crossed."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import (
    IDENTICAL,
    LEVEL,
    NOTHING,
    Estimate,
    crossed_mean,
    crossed_proportion,
    proportion,
    unpaired,
)
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import Measure
from llm_icl.experiments.finetuning.methods import DRAWS, METHOD, PUBLISHED_METHOD, draws, null_of
from llm_icl.experiments.finetuning.metrics import recovered

Floats = NDArray[np.float64]

SETTINGS = {"zs": "without demonstrations", "icl": "in context", "ft": "finetuned"}


def methods(compared: Compared) -> list[str]:
    """Of the comparison; draws of random updates are one method."""
    names = {draw: name for name, some in DRAWS.items() for draw in some}
    return list(dict.fromkeys(names.get(way, way) for way in compared.answers[METHOD].unique(maintain_order=True)))


def seeds(compared: Compared) -> int:
    """The number of draws of demonstrations."""
    return compared.answers["seed"].n_unique()


def accuracy(compared: Compared, method: str, setting: str) -> Estimate:
    """Of one setting. Answers without demonstrations do not depend on their draw."""
    right = np.mean([_right(compared, draw, setting) for draw in draws(method)], axis=0)  # (E, S)
    if setting == "zs":
        return proportion(right[:, 0], np.ones(len(right)))
    return crossed_proportion(right, np.ones_like(right))


def gain(compared: Compared, setting: str, level: float = LEVEL) -> Estimate:
    """The accuracy of the published method in a setting, minus that without demonstrations."""
    alone, other = (_right(compared, PUBLISHED_METHOD, name).astype(float) for name in ("zs", setting))
    found = crossed_mean(other - alone, level)
    low, high = np.clip(found[1:], -1.0, 1.0).tolist()
    return found._replace(low=low, high=high)


def recovery(compared: Compared, method: str, level: float = LEVEL) -> Estimate:
    """Rec2FTP; of random updates, all draws together."""
    return crossed_proportion(*_recovered(compared, method), level)


def recovery_above_null(compared: Compared) -> Callable[[float], Estimate]:
    """Rec2FTP of the published method minus that of random updates, with an interval of any level. The two are
    fractions of different queries: their intervals are combined as those of independent ones.
    """
    counts = [_recovered(compared, name) for name in (PUBLISHED_METHOD, null_of(PUBLISHED_METHOD))]

    def at(level: float) -> Estimate:
        found, null = (crossed_proportion(*some, level) for some in counts)
        return unpaired(found, null)

    return at


def estimate(compared: Compared, method: str, measure: Measure) -> Estimate:
    """The mean of a measure; its interval holds no value that the measure cannot have."""
    found = mean(_values(compared, method, measure))
    low, high = np.clip(found[1:], *measure.ends).tolist()
    return found._replace(low=low, high=high)


def excess(compared: Compared, method: str, measure: Measure) -> Floats:
    """A measure of a method minus that of random updates which are as long, (E, S) over examples and seeds."""
    return _values(compared, method, measure) - _values(compared, null_of(method), measure)


def mean(values: Floats, level: float = LEVEL) -> Estimate:
    """Over the examples for which all seeds' values (E, S) are defined."""
    values = values[np.isfinite(values).all(axis=1)]
    return crossed_mean(values, level) if values.size else NOTHING


def difference(values: Floats, level: float = LEVEL) -> Estimate:
    """The mean of differences (E, S), which may be 0 throughout."""
    found = mean(values, level)
    return IDENTICAL if found.known and not np.nan_to_num(values).any() else found


def changed_answers(compared: Compared, method: str, setting: str) -> Estimate:
    """The fraction of the queries to which this method's setting gives another answer than the published one's."""
    mine, other = (_answers(compared, name, setting) for name in (method, PUBLISHED_METHOD))
    changed = (mine != other).astype(float)
    return crossed_proportion(changed, np.ones_like(changed))


def one_answer(compared: Compared, setting: str) -> NDArray[np.bool_]:
    """In which draws of demonstrations (S,) all queries get the same answer in a setting of the published method."""
    answers = _answers(compared, PUBLISHED_METHOD, setting)
    same: NDArray[np.bool_] = (answers == answers[0]).all(axis=0)
    return same


def _answers(compared: Compared, way: str, setting: str) -> NDArray[np.int64]:
    """(E, S) over examples and seeds."""
    rows = compared.answers.filter(pl.col(METHOD) == way).sort("example", "seed")  # (E S,)
    return rows[setting].to_numpy().reshape(-1, rows["seed"].n_unique())


def _right(compared: Compared, way: str, setting: str) -> NDArray[np.bool_]:
    """Whether the answers are right, (E, S) over examples and seeds."""
    return _answers(compared, way, setting) == _answers(compared, way, "label")


def _values(compared: Compared, method: str, measure: Measure) -> Floats:
    """(E, S), averaged over draws of random updates; (0, 0) where the comparison does not have them."""
    found = []
    for draw in draws(method):
        rows = compared.measures.filter((pl.col(METHOD) == draw) & (pl.col("measure") == measure.name))
        rows = rows.sort("example", "seed")  # (E S,)
        found.append(rows["value"].to_numpy().reshape(-1, max(rows["seed"].n_unique(), 1)))
    values: Floats = np.mean(found, axis=0)
    return values


def _recovered(compared: Compared, method: str) -> tuple[Floats, Floats]:
    """Hits and trials of Rec2FTP, (E, S) each; of random updates, all draws together."""
    found = [recovered(*(_right(compared, draw, name) for name in ("zs", "ft", "icl"))) for draw in draws(method)]
    hits, trials = (np.sum(some, axis=0) for some in zip(*found, strict=True))
    return hits, trials
