"""Suites of evaluations: a matrix in one YAML file. Users add their own in `./tasks/suites`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.backends import ModelEntry, find_model
from llm_icl.config.cards import Card
from llm_icl.config.files import file_name
from llm_icl.config.specs import Spec, parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.request import Request, check, read_positions
from llm_icl.prompting import load_prompt
from llm_icl.prompting.templates import Prompt
from llm_icl.suites.matrix import Matrix, listed, read_matrix, refuse_repeats
from llm_icl.tasks.cards import load_task

# What a matrix is made of. A baseline is what the classical learners of one (task, n, seed) answer.
AXES = ("model", "prompt", "task", "n", "seed")
_BASELINE_AXES = ("task", "n", "seed")
_DEFAULT_AXES: dict[str, list[Any]] = {"model": ["smollm2-135m"], "prompt": ["basic"], "seed": [0]}
_SETTINGS: dict[str, Any] = {
    "points": 50,
    "problems": 100,
    "positions": "all",
    "learner": [],
    "mode": "auto",
    "shuffled-labels": True,
    "repeats": 1,
}


@dataclass(frozen=True)
class SuiteCell:
    """One evaluation of a suite, under a name that is a good one for a folder."""

    name: str
    request: Request


@dataclass(frozen=True)
class Suite:
    """A matrix of evaluations under a name."""

    name: str
    matrix: Matrix


@dataclass(frozen=True)
class Places:
    """Where what a suite names is looked for."""

    tasks: Path | None = None
    prompts: Path | None = None
    catalogue: Path | None = None
    base_url: str = ""


def load_suite(name: str, card: Card, models: Sequence[str] = ()) -> Suite:
    """The suite of a card, its models perhaps replaced. Raises RequestError, with the line."""
    matrix = read_matrix(card, AXES, _DEFAULT_AXES, _SETTINGS, _wrong)
    if models:
        matrix = Matrix({**matrix.axes, "model": list(models)}, matrix.settings, matrix.overrides)
    return Suite(name, matrix)


def cells_of(suite: Suite, places: Places) -> list[SuiteCell]:
    """The cells, those of one model one after the other. Raises RequestError for the first wrong one."""
    matrix = suite.matrix
    cells = [_cell(suite, point, places) for point in matrix.points(_BASELINE_AXES)]
    if matrix.axes["model"] != ["none"]:
        cells += [_cell(suite, point, places) for point in matrix.points(AXES)]
    refuse_repeats(suite.name, [cell.name for cell in cells])
    return cells


def check_cells(cells: Sequence[SuiteCell], will_ask: bool) -> None:
    """See that every cell can be carried out, as far as that shows beforehand. Raises RequestError, naming the cell."""
    for cell in cells:
        try:
            check(cell.request, will_ask)
        except RequestError as problem:
            raise RequestError(f"{cell.name}: {problem}") from None


def _wrong(name: str, value: Any) -> str:
    if name in ("points", "problems", "repeats") and (type(value) is not int or value < 1):
        return f"'{name}' must be a whole number of at least 1, not {value!r}"
    if name == "shuffled-labels" and not isinstance(value, bool):
        return f"'{name}' must be true or false, not {value!r}"
    return ""


def _cell(suite: Suite, point: Mapping[str, Any], places: Places) -> SuiteCell:
    name = " ".join(
        str(point[axis]) if axis in ("model", "prompt", "task") else f"{axis}={point[axis]}" for axis in point
    )
    try:
        return SuiteCell(file_name(name.replace(" ", "+")), _request(point, suite.matrix.settings_at(point), places))
    except RequestError as problem:
        raise RequestError(f"suite '{suite.name}', cell {name}: {problem}") from None


def _request(point: Mapping[str, Any], settings: Mapping[str, Any], places: Places) -> Request:
    tasks = parse_specs([str(point["task"])])
    models: tuple[ModelEntry, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    learners: tuple[Spec, ...] | None = tuple(parse_specs(map(str, listed(settings["learner"])))) or None
    if "model" in point:
        models = (find_model(str(point["model"]), places.base_url, places.catalogue),)
        prompts = tuple(load_prompt(spec, places.prompts) for spec in parse_specs([str(point["prompt"])]))
        learners = ()  # they have a cell of their own, which all models share
    return Request(
        tasks=tuple(load_task(spec, places.tasks) for spec in tasks),
        ns=(point["n"],),
        seeds=(point["seed"],),
        points=settings["points"],
        problems=settings["problems"],
        positions=read_positions(str(settings["positions"]), settings["points"]),
        models=models,
        trained=(),
        prompts=prompts,
        learners=learners,
        mode=settings["mode"],
        shuffled_labels=settings["shuffled-labels"],
        repeats=settings["repeats"],
    )
