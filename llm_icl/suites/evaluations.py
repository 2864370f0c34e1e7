"""Suites that ask models: a cell for each model, prompt, task, n and seed, and one for its classical learners."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.asking import AskingExperiment
from llm_icl.experiments.evaluation.experiment import Evaluation
from llm_icl.experiments.evaluation.options import EvaluationOptions
from llm_icl.experiments.identification.experiment import Identification
from llm_icl.experiments.identification.options import IdentifyOptions
from llm_icl.suites.matrix import Matrix, checked_by, listed, read_matrix, refuse_repeats

# The axes of a matrix. A baseline cell has the classical learners of one (task, n, seed).
AXES = ("model", "prompt", "task", "n", "seed")
_BASELINE_AXES = ("task", "n", "seed")
DEFAULT_AXES: dict[str, list[Any]] = {"model": ["smollm2-135m"], "prompt": ["basic"], "seed": [0]}


@dataclass(frozen=True)
class Kind:
    """A kind of experiment, and those of its options that are settings of a suite."""

    experiment: type[AskingExperiment]
    options: EvaluationOptions | IdentifyOptions
    settings: tuple[str, ...]

    def defaults(self) -> dict[str, Any]:
        return {name: getattr(self.options, name.replace("-", "_")) for name in self.settings}


_EVALUATION = Kind(
    Evaluation, EvaluationOptions(task=()),
    ("points", "problems", "positions", "learner", "mode", "shuffled-labels", "repeats"),
)  # fmt: skip
_IDENTIFICATION = Kind(
    Identification, IdentifyOptions(),
    ("examples", "contexts", "queries", "candidate", "learner", "mode", "repeats"),
)  # fmt: skip
KINDS = {"eval": _EVALUATION, "identify": _IDENTIFICATION}
# Settings that may be lists.
_LISTS = ("learner", "candidate", "examples")


@dataclass(frozen=True)
class SuiteCell:
    """One experiment of a suite, before models and limits are shared; its name is usable as a folder name."""

    name: str
    experiment: AskingExperiment


@dataclass(frozen=True)
class Suite:
    """A named matrix of experiments of one kind."""

    name: str
    kind: Kind
    matrix: Matrix


@dataclass(frozen=True)
class Places:
    """Folders in which names of a suite are looked up."""

    tasks: Path | None = None
    prompts: Path | None = None
    catalogue: Path | None = None
    base_url: str | None = None


def load_suite(name: str, card: Card, models: Sequence[str] = ()) -> Suite:
    """The suite of a card, optionally with other models. Raises RequestError, with the line."""
    kind = KINDS[card.fields.get("kind", "eval")]
    matrix = read_matrix(card, AXES, DEFAULT_AXES, kind.defaults(), checked_by(type(kind.options)))
    if "none" in matrix.axes["model"] and len(matrix.axes["model"]) > 1:
        raise card.error("the axis 'model': none excludes other models", "matrix")
    if models:
        matrix = Matrix({**matrix.axes, "model": list(models)}, matrix.settings, matrix.overrides)
    return Suite(name, kind, matrix)


def cells_of(suite: Suite, places: Places) -> list[SuiteCell]:
    """The cells, grouped by model. Raises RequestError for the first invalid one."""
    matrix = suite.matrix
    baselines = suite.kind is _EVALUATION or matrix.settings["learner"]
    cells = [_cell(suite, point, places) for point in matrix.points(_BASELINE_AXES)] if baselines else []
    asking = [_cell(suite, point, places) for point in matrix.points(AXES)]  # checked also where nothing is asked
    if matrix.axes["model"] != ["none"]:
        cells += asking
    refuse_repeats(suite.name, [cell.name for cell in cells])
    return cells


def check_cells(cells: Sequence[SuiteCell], will_ask: bool) -> None:
    """Check all cells before work starts. Raises RequestError, with the cell's name."""
    for cell in cells:
        try:
            cell.experiment.check_request(will_ask)
        except RequestError as problem:
            raise RequestError(f"{cell.name}: {problem}") from None


def _cell(suite: Suite, point: Mapping[str, Any], places: Places) -> SuiteCell:
    name = " ".join(
        str(point[axis]) if axis in ("model", "prompt", "task") else f"{axis}={point[axis]}" for axis in point
    )
    try:
        return SuiteCell(file_name(name.replace(" ", "+")), _experiment(suite, point, places))
    except RequestError as problem:
        raise RequestError(f"suite '{suite.name}', cell {name}: {problem}") from None


def _experiment(suite: Suite, point: Mapping[str, Any], places: Places) -> AskingExperiment:
    found = {"tasks_dir": places.tasks, "prompts_dir": places.prompts, "catalogue": places.catalogue}
    settings = suite.matrix.settings_at(point)
    lists = {name: listed(settings[name]) for name in _LISTS if name in settings}
    chosen = {**settings, **lists, "model": "none", **point}
    kind = suite.kind
    experiment = kind.experiment.of(type(kind.options).of({**chosen, **found, "base_url": places.base_url}))
    assert isinstance(experiment, AskingExperiment)
    if "model" in point:  # learners have a separate cell, shared by all models
        request: Any = experiment.request
        experiment.request = dataclasses.replace(request, learners=())
    return experiment
