"""Suites of evaluations: a cell for each model, prompt, task, n and seed, and one for its classical learners."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.checking import check
from llm_icl.experiments.evaluation.experiment import Evaluation
from llm_icl.experiments.evaluation.options import EvaluationOptions
from llm_icl.experiments.evaluation.request import Request
from llm_icl.suites.matrix import Matrix, checked_by, listed, read_matrix, refuse_repeats

# The axes of a matrix. A baseline cell has the classical learners of one (task, n, seed).
AXES = ("model", "prompt", "task", "n", "seed")
_BASELINE_AXES = ("task", "n", "seed")
_DEFAULT_AXES: dict[str, list[Any]] = {"model": ["smollm2-135m"], "prompt": ["basic"], "seed": [0]}
_DEFAULT = EvaluationOptions(task=())
_SETTINGS: dict[str, Any] = {
    name: getattr(_DEFAULT, name.replace("-", "_"))
    for name in ("points", "problems", "positions", "learner", "mode", "shuffled-labels", "repeats")
}


@dataclass(frozen=True)
class SuiteCell:
    """One evaluation of a suite; its name is usable as a folder name."""

    name: str
    request: Request


@dataclass(frozen=True)
class Suite:
    """A named matrix of evaluations."""

    name: str
    matrix: Matrix


@dataclass(frozen=True)
class Places:
    """Folders in which names of a suite are looked up."""

    tasks: Path | None = None
    prompts: Path | None = None
    catalogue: Path | None = None
    base_url: str = ""


def load_suite(name: str, card: Card, models: Sequence[str] = ()) -> Suite:
    """The suite of a card, optionally with other models. Raises RequestError, with the line."""
    matrix = read_matrix(card, AXES, _DEFAULT_AXES, _SETTINGS, checked_by(EvaluationOptions))
    if "none" in matrix.axes["model"] and len(matrix.axes["model"]) > 1:
        raise card.error("the axis 'model': none excludes other models", "matrix")
    if models:
        matrix = Matrix({**matrix.axes, "model": list(models)}, matrix.settings, matrix.overrides)
    return Suite(name, matrix)


def cells_of(suite: Suite, places: Places) -> list[SuiteCell]:
    """The cells, grouped by model. Raises RequestError for the first invalid one."""
    matrix = suite.matrix
    cells = [_cell(suite, point, places) for point in matrix.points(_BASELINE_AXES)]
    if matrix.axes["model"] != ["none"]:
        cells += [_cell(suite, point, places) for point in matrix.points(AXES)]
    refuse_repeats(suite.name, [cell.name for cell in cells])
    return cells


def check_cells(cells: Sequence[SuiteCell], will_ask: bool) -> None:
    """Check all cells before work starts. Raises RequestError, with the cell's name."""
    for cell in cells:
        try:
            check(cell.request, will_ask)
        except RequestError as problem:
            raise RequestError(f"{cell.name}: {problem}") from None


def _cell(suite: Suite, point: Mapping[str, Any], places: Places) -> SuiteCell:
    name = " ".join(
        str(point[axis]) if axis in ("model", "prompt", "task") else f"{axis}={point[axis]}" for axis in point
    )
    try:
        return SuiteCell(file_name(name.replace(" ", "+")), _request(point, suite.matrix.settings_at(point), places))
    except RequestError as problem:
        raise RequestError(f"suite '{suite.name}', cell {name}: {problem}") from None


def _request(point: Mapping[str, Any], settings: Mapping[str, Any], places: Places) -> Request:
    found = {"tasks_dir": places.tasks, "prompts_dir": places.prompts, "catalogue": places.catalogue}
    chosen = {**settings, "learner": listed(settings["learner"]), "model": "none", **point}
    options = EvaluationOptions.of({**chosen, **found, "base_url": places.base_url})
    request = Evaluation.of(options).request
    # Learners have a separate cell, shared by all models.
    return dataclasses.replace(request, learners=()) if "model" in point else request
