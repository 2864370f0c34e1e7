"""Predictions arranged for analysis: one cell is one task at one n, all its learners on the same problems."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.problems import ANSWERED, SHUFFLED

Floats = NDArray[np.float64]

STATUS_SHARES = ("unparseable", "truncated", "refused", "too_long", "error")


@dataclass(frozen=True)
class Answered:
    """One learner in a cell, over N problems (of all seeds) and P positions.

    correct (N, P) is 1, 0 or NaN (the position is missing); an unusable answer that is the model's doing is 0.
    probability (N, P) is P(y = 1) or NaN; prediction (N, P) is 0, 1 or NaN. statuses gives the share of each status.
    A model is a language model that was asked in words, a network one that was trained for such problems.
    """

    correct: Floats
    probability: Floats
    prediction: Floats
    statuses: dict[str, float]
    is_model: bool = False
    is_network: bool = False

    @property
    def coverage(self) -> float:
        return float((~np.isnan(self.correct)).mean())

    @property
    def bounds(self) -> tuple[float, float]:
        """The mean accuracy if all missing positions were wrong, and if all were right."""
        missing = np.isnan(self.correct)
        return float(np.where(missing, 0, self.correct).mean()), float(np.where(missing, 1, self.correct).mean())

    @property
    def has_probabilities(self) -> bool:
        return not bool(np.isnan(self.probability).all())


@dataclass(frozen=True)
class Cell:
    """One task at one n: positions (P,), true labels (N, P), whether the query had been seen (N, P), the learners."""

    task: str
    n: int
    positions: NDArray[np.int64]
    label: Floats
    seen: NDArray[np.bool_]
    learners: dict[str, Answered] = field(default_factory=dict)

    @property
    def models(self) -> list[str]:
        """The language models among the learners, without their controls."""
        return [name for name, answered in self.learners.items() if answered.is_model]

    @property
    def networks(self) -> list[str]:
        """The networks that were trained, among the learners."""
        return [name for name, answered in self.learners.items() if answered.is_network]

    def control_of(self, model: str) -> str:
        """The name under which a model's control with shuffled labels would stand."""
        learner, bracket, prompt = model.partition(" [")
        return f"{learner}{SHUFFLED}{bracket}{prompt}"

    @property
    def problems(self) -> int:
        return len(self.label)

    @property
    def title(self) -> str:
        return f"{self.task}, n = {self.n}"


def arrange(predictions: pl.DataFrame, networks: Collection[str] = ()) -> list[Cell]:
    """The cells of one or several runs, in the order in which they first appear, on the queries asked of all learners.

    A learner that was asked with several prompts is one learner for each; its name then carries the prompt's. Those
    with the names of networks are networks.
    """
    prompts = predictions.group_by("learner").agg(pl.col("prompt").n_unique().alias("prompts"))
    several = set(prompts.filter(pl.col("prompts") > 1)["learner"])
    cells = []
    for (task, n), cell_rows in predictions.group_by(["task", "n"], maintain_order=True):
        keys = ["seed", "problem", "position"]
        frame = _shared(cell_rows.unique(maintain_order=True), keys, f"{task}, n = {n}")
        places = frame.select(*keys, "label", "seen").unique(keys).sort(keys)
        positions = places["position"].unique().sort().to_numpy()
        problems = places.select("seed", "problem").unique().sort("seed", "problem")
        shape = (len(problems), len(positions))
        full = problems.join(pl.DataFrame({"position": positions}), how="cross")
        truth = full.join(places, on=keys, how="left", maintain_order="left")
        cell = Cell(
            str(task),
            int(n),
            positions,
            truth["label"].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(shape),
            truth["seen"].fill_null(False).to_numpy().reshape(shape),
        )
        for (learner, prompt), rows in frame.group_by(["learner", "prompt"], maintain_order=True):
            name = f"{learner} [{prompt}]" if learner in several and prompt else str(learner)
            answers = full.join(rows.drop("label", "seen"), on=keys, how="left", maintain_order="left")
            is_model = prompt is not None and not str(learner).endswith(SHUFFLED)
            cell.learners[name] = dataclasses.replace(
                _answered(answers, cell.label), is_model=is_model, is_network=name in networks
            )
        cells.append(cell)
    return cells


def _shared(rows: pl.DataFrame, keys: list[str], cell: str) -> pl.DataFrame:
    """The rows of the places at which every learner was asked: what is compared is the same for all.

    Raises RequestError where there is none, or where two runs disagree on the truth or on one learner's answer.
    """
    # Known in hindsight of its own run, the best constant may differ between runs: the first one's stands.
    hindsight = pl.col("learner") == "best-constant"
    rows = pl.concat([rows.filter(~hindsight), rows.filter(hindsight).unique(keys, keep="first", maintain_order=True)])
    if rows.select(*keys, "learner", "prompt").is_duplicated().any():
        raise RequestError(f"{cell}: a learner has two different answers to the same query; report these runs apart")
    if rows.select(*keys, "label", "seen").unique().select(keys).is_duplicated().any():
        raise RequestError(f"{cell}: these runs are not about the same problems; report them apart")
    learners = rows.select("learner", "prompt").n_unique()
    shared = rows.filter(pl.len().over(keys) == learners)
    if shared.is_empty():
        raise RequestError(f"{cell}: there is no query that all learners were asked; report these runs apart")
    return shared


def _answered(rows: pl.DataFrame, label: Floats) -> Answered:
    def matrix(column: str) -> Floats:
        return rows[column].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(label.shape)

    prediction = matrix("prediction")
    answered = rows["status"].is_in(list(ANSWERED)).fill_null(False).to_numpy().reshape(label.shape)
    correct = np.where(answered, (prediction == label).astype(float), np.nan)
    asked = max(int(rows["status"].is_not_null().sum()), 1)
    shares = {status: int((rows["status"] == status).sum()) / asked for status in STATUS_SHARES}
    return Answered(correct, matrix("probability"), prediction, {key: share for key, share in shares.items() if share})
