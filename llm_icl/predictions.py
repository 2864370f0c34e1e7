"""The predictions table: one row for each learner, problem and position."""

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.experiments.evaluation.request import Job
from llm_icl.problems import STATUSES, Answers, Problems


def predictions_frame(problems: Problems, positions: Sequence[int], job: Job, answers: Answers) -> pl.DataFrame:
    """One row for each position of each problem."""
    chosen = np.array(positions)
    count = len(problems) * len(chosen)
    prediction = answers.prediction.ravel()
    probability = pl.Series("probability", answers.probability.ravel()).fill_nan(None)
    return pl.DataFrame(
        {
            "learner": pl.Series([job.name]).new_from_index(0, count),
            "task": pl.Series([problems.task.name]).new_from_index(0, count),
            "n": np.full(count, problems.n, dtype=np.int32),
            "seed": np.full(count, problems.seed, dtype=np.int64),
            "prompt": pl.Series([job.prompt.name if job.prompt else None], dtype=pl.String).new_from_index(0, count),
            "problem": np.repeat(problems.indices, len(chosen)),
            "position": np.tile(chosen, len(problems)),
            "label": problems.ys[:, chosen].ravel(),
            "probability": probability,
            "prediction": pl.Series(prediction).set(pl.Series(prediction < 0), None),
            "status": np.array(STATUSES)[answers.status.ravel()],
            "agreement": pl.Series(_agreement(answers)).fill_nan(None),
            "seen": problems.seen[:, chosen].ravel(),
        }
    )


def _agreement(answers: Answers) -> NDArray[np.float64]:
    return np.full(answers.status.size, np.nan) if answers.agreement is None else answers.agreement.ravel()
