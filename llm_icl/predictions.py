"""The predictions table: one row for each learner, problem and position, in `predictions.parquet` of a run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llm_icl.problems import STATUSES, Answers, Problems

if TYPE_CHECKING:
    import polars as pl

COLUMNS = {
    "learner": "display name; unique in the run together with task, n, seed, prompt, problem and position",
    "task": "name of the task, with its options",
    "n": "number of input bits",
    "seed": "seed of the problems",
    "prompt": "prompt template of a language model; null for other learners",
    "problem": "index of the problem",
    "position": "number of in-context examples before the query",
    "label": "the true label of the query, 0 or 1",
    "probability": "P(y = 1); null if only an answer is known",
    "mass": "P(0) + P(1) among all tokens, to which probability is normalised; null if unknown",
    "prediction": "0 or 1; null without a usable answer",
    "status": f"one of {', '.join(STATUSES)}",
    "agreement": "fraction of repeated answers that equal this one; null without repeats, or if not all could be used",
    "seen": "whether the query occurs among the earlier examples",
}


def predictions_frame(
    problems: Problems, positions: Sequence[int], learner: str, prompt: str | None, answers: Answers
) -> "pl.DataFrame":
    """The rows of one learner; answers are (N, P) for N problems and P positions."""
    import polars as pl

    chosen = np.array(positions)
    count = len(problems) * len(chosen)
    prediction = answers.prediction.ravel()
    probability = pl.Series("probability", answers.probability.ravel()).fill_nan(None)
    return pl.DataFrame(
        {
            "learner": pl.Series([learner]).new_from_index(0, count),
            "task": pl.Series([problems.task.name]).new_from_index(0, count),
            "n": np.full(count, problems.n, dtype=np.int32),
            "seed": np.full(count, problems.seed, dtype=np.int64),
            "prompt": pl.Series([prompt], dtype=pl.String).new_from_index(0, count),
            "problem": np.repeat(problems.indices, len(chosen)),
            "position": np.tile(chosen, len(problems)),
            "label": problems.ys[:, chosen].ravel(),
            "probability": probability,
            "mass": pl.Series(_or_unknown(answers.mass, count)).fill_nan(None),
            "prediction": pl.Series(prediction).set(pl.Series(prediction < 0), None),
            "status": np.array(STATUSES)[answers.status.ravel()],
            "agreement": pl.Series(_or_unknown(answers.agreement, count)).fill_nan(None),
            "seen": problems.seen[:, chosen].ravel(),
        }
    )


def _or_unknown(values: NDArray[np.float64] | None, count: int) -> NDArray[np.float64]:
    return np.full(count, np.nan) if values is None else values.ravel()


# Columns that tables of the first versions lack.
_LATER = ("mass", "agreement")
_WHOLE = ("n", "seed", "problem", "position", "label", "prediction")
_REAL = ("probability", "mass", "agreement")
_TEXT = ("learner", "task", "prompt", "status")
# Probabilities are sums of rounded numbers.
_ROUNDING = 1e-6
_MAY_LACK = ("prompt", "prediction", *_REAL)


def fault_of(frame: "pl.DataFrame") -> str:
    """Why a table that was read cannot be one of predictions; empty if it can."""
    import polars as pl

    # Answers to probes, whose true labels nobody needs.
    may_lack = (*_MAY_LACK, "label") if "query" in frame.columns else _MAY_LACK
    for name in COLUMNS:
        if name not in frame.columns:
            if name in _LATER:
                continue
            return f"the column '{name}' is missing"
        kind, empty = frame.schema[name], frame[name].null_count()
        if empty == len(frame) and name in may_lack:
            continue
        fits = kind.is_integer() if name in _WHOLE else kind.is_float() if name in _REAL else None
        fits = kind == pl.String if name in _TEXT else kind == pl.Boolean if name == "seen" else fits
        if not fits or (empty and name not in may_lack):
            return f"the column '{name}' holds something else"
    checks = [
        pl.col("label").is_null() | pl.col("label").is_in([0, 1]),
        pl.col("status").is_in(list(STATUSES)),
        pl.col("position") >= 0,
    ]
    checks += [pl.col("prediction").is_null() | pl.col("prediction").is_in([0, 1])]
    within = [
        pl.col(name).is_null() | pl.col(name).is_between(0, 1 + _ROUNDING) for name in _REAL if name in frame.columns
    ]
    return "" if frame.select(pl.all_horizontal(*checks, *within).all()).item() else "it holds impossible values"
