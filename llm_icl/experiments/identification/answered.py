"""The answers of a subject to all probes of a setting."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.experiments.identification.probes import Probes
from llm_icl.predictions import predictions_frame
from llm_icl.problems import STATUSES, Answers, Problems

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Answered:
    """P(answer 1), or labels, (M, C, Q), NaN without an answer; which of the two; and, of labels, all of them where
    questions were asked again.
    """

    answers: Floats
    probabilities: bool
    repeats: Repeats | None = None

    @property
    def share(self) -> float:
        """The share of questions with an answer."""
        return float((~np.isnan(self.answers)).mean())


def answers_frame(subject: str, prompt: str | None, asked: Problems, queries: int, answers: Answers) -> pl.DataFrame:
    """The rows of a subject at one number of examples; answers are (C·Q, 1), the queries of a context in a row."""
    frame = predictions_frame(asked, [asked.points - 1], subject, prompt, answers)
    label = pl.lit(None, dtype=frame.schema["label"])  # probes are not scored
    return frame.with_columns(label=label, query=np.arange(len(frame)) % queries)


def read_answers(frames: Sequence[pl.DataFrame], shape: tuple[int, int, int], repeats: int) -> Answered:
    """The answers in the frames of all numbers of examples, of M·C·Q rows.

    They are probabilities if all usable answers have one. Of repeated labels one is drawn.
    """
    rows = pl.concat(frames)
    label = rows["prediction"].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape)
    probability = rows["probability"].fill_null(np.nan).to_numpy().reshape(shape)
    known = ~np.isnan(label)
    if not np.isnan(probability[known]).any():
        return Answered(np.where(known, probability, np.nan), True)
    if repeats == 1:
        return Answered(label, False)
    share = rows["agreement"].fill_null(np.nan).to_numpy().reshape(shape)
    count = np.where(np.isnan(share), known, repeats).astype(np.int64)
    majority = np.where(np.isnan(share), known, np.rint(np.nan_to_num(share) * repeats)).astype(np.int64)
    ones = np.where(label == 1, majority, count - majority)
    return labelled(Repeats(count, ones))


def labelled(repeats: Repeats) -> Answered:
    """Of all labels that were answered to each question one is drawn; the others tell how well answers repeat."""
    return Answered(repeats.one(), False, repeats if (repeats.count > 1).any() else None)


def given_frame(subject: str, probes: Probes, answered: Answered) -> pl.DataFrame:
    """The rows of answers that were collected elsewhere."""
    queries = answered.answers.shape[2]
    frames = []
    for (_, asked), given in zip(probes.asked(), answered.answers, strict=True):
        column = given.reshape(-1, 1)
        known = ~np.isnan(column)
        status = np.where(known, STATUSES.index("ok"), STATUSES.index("error")).astype(np.uint8)
        prediction = np.where(known, column > 0.5, -1).astype(np.int8)
        probability = column if answered.probabilities else np.full_like(column, np.nan)
        frames.append(answers_frame(subject, None, asked, queries, Answers(probability, prediction, status)))
    return pl.concat(frames)
