"""Predictions arranged for analysis: one cell is one task at one n, all its learners on the same problems."""

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.names import Names
from llm_icl.errors import RequestError
from llm_icl.problems import ANSWERED, SHUFFLED, STATUSES

Floats = NDArray[np.float64]

STATUS_SHARES = ("unparseable", "truncated", "refused", "too_long", "error")


@dataclass(frozen=True)
class Answered:
    """One learner in a cell, over N problems (of all seeds) and P positions.

    asked (N, P) is whether this learner's runs contain the query. correct (N, P) is 1, 0 or NaN (not asked, or asked
    and missing); an unusable answer for which the model is responsible is 0. probability (N, P) is P(y = 1) or NaN;
    prediction (N, P) is 0, 1 or NaN. statuses maps each status to its fraction of the queries asked.
    mass (N, P), for models, is the probability of both labels together among all tokens, or NaN. codes (N, P) are the
    indices of the statuses in STATUSES, and -1 where nothing was asked. one_label (N,) says of which problems all
    in-context labels are equal in the run that asked a model, so that shuffling changes nothing.
    A model is a prompted language model; a network is a sequence model trained on such problems.
    """

    asked: NDArray[np.bool_]
    correct: Floats
    probability: Floats
    prediction: Floats
    statuses: dict[str, float]
    mass: Floats | None = None
    codes: NDArray[np.int8] | None = None
    one_label: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    is_model: bool = False
    is_network: bool = False

    @property
    def coverage(self) -> float:
        """The fraction of the queries asked that have an answer."""
        return float((~np.isnan(self.correct[self.asked])).mean())

    @property
    def bounds(self) -> tuple[float, float]:
        """Bounds on the mean accuracy over the queries asked: all missing ones wrong, all missing ones correct."""
        correct = self.correct[self.asked]
        missing = np.isnan(correct)
        return float(np.where(missing, 0, correct).mean()), float(np.where(missing, 1, correct).mean())

    @property
    def has_probabilities(self) -> bool:
        return not bool(np.isnan(self.probability).all())


@dataclass(frozen=True)
class Cell:
    """One task at one n: positions (P,), labels (N, P), whether the query occurred before (N, P), the learners.

    Problems and positions are those of all runs together; NaN in `label` where no learner was asked. ids (N, 2) are the
    seeds and indices of the problems.
    """

    task: str
    n: int
    positions: NDArray[np.int64]
    label: Floats
    seen: NDArray[np.bool_]
    learners: dict[str, Answered] = field(default_factory=dict)
    ids: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 2), np.int64))

    @property
    def models(self) -> list[str]:
        """The language models among the learners, without their controls."""
        return [name for name, answered in self.learners.items() if answered.is_model]

    @property
    def networks(self) -> list[str]:
        """The trained networks among the learners."""
        return [name for name, answered in self.learners.items() if answered.is_network]

    def control_of(self, model: str) -> str:
        """The name of a model's shuffled-label control."""
        learner, bracket, prompt = model.rpartition(" [")
        of_prompt = f"{learner}{SHUFFLED}{bracket}{prompt}"
        return of_prompt if bracket and of_prompt in self.learners else f"{model}{SHUFFLED}"

    @property
    def problems(self) -> int:
        return len(self.label)

    @property
    def title(self) -> str:
        return f"{self.task}, n = {self.n}"


def arrange(
    predictions: pl.DataFrame,
    networks: Collection[str] = (),
    one_label: pl.DataFrame | None = None,
    names: Names | None = None,
) -> list[Cell]:
    """The cells of one or several runs in order of appearance, with all queries of all runs.

    A model evaluated with several prompts counts as one learner per prompt, and one that answered differently in
    several runs as one per run, by the `names` of a column `run`; without them all predictions are of one run.
    `networks` lists the learners that are trained networks. `one_label` lists the problems whose in-context labels are
    all equal (columns run, task, n, seed, problem).

    Raises RequestError if two runs disagree on the true labels, or on the answer of a learner that computes it.
    """
    if names is None:
        predictions = predictions.with_columns(run=pl.lit(""))
        names = Names.among(predictions, networks)
    who = ["learner", "prompt", "run"]
    called = predictions.select(who).unique(maintain_order=True)
    called = called.with_columns(name=pl.Series([names.of(*row) for row in called.rows()], dtype=pl.String))
    predictions = predictions.join(called, on=who, how="left", maintain_order="left", nulls_equal=True)
    cells = []
    for (task, n), cell_rows in predictions.group_by(["task", "n"], maintain_order=True):
        keys = ["seed", "problem", "position"]
        answer = ["name", *keys, "label", "seen", "probability", "prediction", "status"]
        frame = _consistent(cell_rows.unique(answer, keep="first", maintain_order=True), keys, f"{task}, n = {n}")
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
            ids=problems.to_numpy().astype(np.int64),
        )
        for (name,), rows in frame.group_by(["name"], maintain_order=True):
            learner, prompt = rows.select("learner", "prompt").row(0)
            answers = full.join(rows.drop("label", "seen"), on=keys, how="left", maintain_order="left")
            is_model = prompt is not None and not learner.endswith(SHUFFLED)
            same = _listed(problems, rows, one_label if is_model else None, task, n)
            cell.learners[str(name)] = dataclasses.replace(
                _answered(answers, cell.label), one_label=same, is_model=is_model, is_network=learner in networks
            )
        cells.append(cell)
    return cells


def _listed(
    problems: pl.DataFrame, rows: pl.DataFrame, listed: pl.DataFrame | None, task: object, n: object
) -> NDArray[np.bool_]:
    """Which of a cell's problems (N,) are listed, in the run in which a learner answered them."""
    if listed is None:
        return np.zeros(len(problems), dtype=bool)
    there = listed.filter((pl.col("task") == task) & (pl.col("n") == n)).unique()
    own = rows.join(there, on=["run", "seed", "problem"], how="semi").select("seed", "problem").unique()
    found = problems.join(own.with_columns(listed=True), on=["seed", "problem"], how="left", maintain_order="left")
    return found["listed"].fill_null(False).to_numpy()


def _consistent(rows: pl.DataFrame, keys: list[str], cell: str) -> pl.DataFrame:
    """The rows, each query at most once for each learner. Raises RequestError if runs contradict each other."""
    if rows.select(*keys, "label", "seen").unique().select(keys).is_duplicated().any():
        raise RequestError(f"{cell}: these runs contain different problems; report them separately")
    # In a run the best constant is fitted to each seed; in a cell it is one, fitted to all its queries.
    hindsight = pl.col("learner") == "best-constant"
    constant = rows.filter(hindsight)
    if len(constant):
        constant = constant.unique(keys, keep="first", maintain_order=True)
        share = float(constant["label"].mean())  # type: ignore[arg-type]
        answer = pl.lit(int(share > 0.5)).cast(constant["prediction"].dtype)
        constant = constant.with_columns(probability=pl.lit(share), prediction=answer)
        rows = pl.concat([constant, rows.filter(~hindsight)])
    if rows.select(*keys, "name").is_duplicated().any():
        raise RequestError(
            f"{cell}: a learner has two different answers to the same query; report these runs separately"
        )
    return rows


def _answered(rows: pl.DataFrame, label: Floats) -> Answered:
    def matrix(column: str) -> Floats:
        return rows[column].cast(pl.Float64).fill_null(np.nan).to_numpy().reshape(label.shape)

    prediction = matrix("prediction")
    answered = rows["status"].is_in(list(ANSWERED)).fill_null(False).to_numpy().reshape(label.shape)
    correct = np.where(answered, (prediction == label).astype(float), np.nan)
    asked = rows["status"].is_not_null().to_numpy().reshape(label.shape)
    shares = {status: int((rows["status"] == status).sum()) / int(asked.sum()) for status in STATUS_SHARES}
    statuses = {key: share for key, share in shares.items() if share}
    # Runs of earlier versions do not say the labels' mass.
    mass = matrix("mass") if "mass" in rows.columns else None
    codes = rows["status"].replace_strict(STATUSES, range(len(STATUSES)), return_dtype=pl.Int8).fill_null(-1)
    return Answered(
        asked, correct, matrix("probability"), prediction, statuses, mass, codes.to_numpy().reshape(label.shape)
    )
