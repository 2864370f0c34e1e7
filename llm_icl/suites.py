"""Suites: a matrix of evaluations in one YAML file. Users add their own in `./tasks/suites`."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_icl.backends import ModelEntry, find_model
from llm_icl.cards import Card, read_card
from llm_icl.errors import RequestError, unknown_name
from llm_icl.files import data_files, file_name
from llm_icl.naming import Spec, parse_specs
from llm_icl.prompting import load_prompt
from llm_icl.prompting.templates import Prompt
from llm_icl.request import Request, check, digest, read_positions
from llm_icl.task_cards import load_task

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
    """A matrix with its settings, and what overrides them in some of its cells."""

    name: str
    description: str
    axes: Mapping[str, Sequence[Any]]
    settings: Mapping[str, Any]
    overrides: Sequence[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Places:
    """Where what a suite names is looked for."""

    tasks: Path | None = None
    prompts: Path | None = None
    catalogue: Path | None = None
    base_url: str = ""


def suite_names(tasks_dir: Path | None = None) -> dict[str, Path]:
    return data_files("tasks/suites", ".yaml", tasks_dir / "suites" if tasks_dir else None)


def load_suite(text: str, models: Sequence[str] = (), tasks_dir: Path | None = None) -> Suite:
    """The suite of a name or file, its models perhaps replaced. Raises RequestError, with the line."""
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        paths = suite_names(tasks_dir)
        if text not in paths:
            raise unknown_name("suite", text, paths, "; or a YAML file")
        path = paths[text]
    card = read_card(path).only(("description", "matrix", "overrides", *_SETTINGS), needed=("matrix",))
    axes = _axes(card, card.fields["matrix"])
    if models:
        axes["model"] = list(models)
    settings = {key: card.fields.get(key, default) for key, default in _SETTINGS.items()}
    _check_settings(card, settings, "", "")
    overrides = card.fields.get("overrides", [])
    if not isinstance(overrides, list):
        raise card.error("'overrides' must be a list", "overrides")
    for override in overrides:
        if not isinstance(override, dict) or not isinstance(override.get("when"), dict):
            raise card.error("an override says 'when' it holds, and the settings that then hold", "overrides")
        for key in override["when"]:
            if key not in AXES:
                raise card.error(f"unknown axis '{key}' in 'when': known are {', '.join(AXES)}", "overrides")
        _check_settings(card, {k: v for k, v in override.items() if k != "when"}, "overrides", "in an override: ")
    return Suite(path.stem, card.text("description"), axes, settings, overrides)


def cells_of(suite: Suite, places: Places) -> list[SuiteCell]:
    """The cells, those of one model one after the other. Raises RequestError for the first wrong one."""
    axes = suite.axes
    cells = [
        _cell(suite, dict(zip(_BASELINE_AXES, point, strict=True)), places)
        for point in itertools.product(*(axes[axis] for axis in _BASELINE_AXES))
    ]
    if axes["model"] != ["none"]:
        cells += [
            _cell(suite, dict(zip(AXES, point, strict=True)), places)
            for point in itertools.product(*(axes[axis] for axis in AXES))
        ]
    names = [cell.name for cell in cells]
    for name in names:
        if names.count(name) > 1:
            raise RequestError(f"suite '{suite.name}': the cell {name} stands there twice")
    return cells


def folder_name(suite: Suite, cells: Sequence[SuiteCell]) -> str:
    """Readable, and different for every different suite."""
    return f"suite-{file_name(suite.name)}-{digest([cell.request.record() for cell in cells])}"


def check_cells(cells: Sequence[SuiteCell], will_ask: bool) -> None:
    """See that every cell can be carried out, as far as that shows beforehand. Raises RequestError, naming the cell."""
    for cell in cells:
        try:
            check(cell.request, will_ask)
        except RequestError as problem:
            raise RequestError(f"{cell.name}: {problem}") from None


def _axes(card: Card, matrix: Any) -> dict[str, list[Any]]:
    if not isinstance(matrix, dict):
        raise card.error(f"'matrix' gives lists for {', '.join(AXES)}", "matrix")
    for key in matrix:
        if key not in AXES:
            raise card.error(f"unknown axis '{key}': known are {', '.join(AXES)}", "matrix")
    axes = {axis: matrix.get(axis, _DEFAULT_AXES.get(axis)) for axis in AXES}
    for axis, values in axes.items():
        if values is None:
            raise card.error(f"the matrix lacks the axis '{axis}'", "matrix")
        if not isinstance(values, list):
            axes[axis] = [values]
        if not axes[axis]:
            raise card.error(f"the axis '{axis}' is empty", "matrix")
    for axis, least in (("n", 1), ("seed", 0)):
        if not all(type(value) is int and value >= least for value in axes[axis] or ()):
            raise card.error(f"the axis '{axis}' holds whole numbers of at least {least}", "matrix")
    return {axis: list(values or ()) for axis, values in axes.items()}


def _check_settings(card: Card, settings: Mapping[str, Any], key: str, where: str) -> None:
    for name, value in settings.items():
        if name not in _SETTINGS:
            raise card.error(f"{where}unknown setting '{name}': known are {', '.join(_SETTINGS)}", key or name)
        if name in ("points", "problems", "repeats") and (type(value) is not int or value < 1):
            raise card.error(f"{where}'{name}' must be a whole number of at least 1, not {value!r}", key or name)
        if name == "shuffled-labels" and not isinstance(value, bool):
            raise card.error(f"{where}'{name}' must be true or false, not {value!r}", key or name)


def _cell(suite: Suite, point: Mapping[str, Any], places: Places) -> SuiteCell:
    settings = dict(suite.settings)
    for override in suite.overrides:
        if all(axis in point and point[axis] in _listed(values) for axis, values in override["when"].items()):
            settings |= {key: value for key, value in override.items() if key != "when"}
    name = " ".join(
        str(point[axis]) if axis in ("model", "prompt", "task") else f"{axis}={point[axis]}" for axis in point
    )
    try:
        return SuiteCell(file_name(name.replace(" ", "+")), _request(point, settings, places))
    except RequestError as problem:
        raise RequestError(f"suite '{suite.name}', cell {name}: {problem}") from None


def _request(point: Mapping[str, Any], settings: Mapping[str, Any], places: Places) -> Request:
    tasks = parse_specs([str(point["task"])])
    models: tuple[ModelEntry, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    learners: tuple[Spec, ...] | None = tuple(parse_specs(map(str, _listed(settings["learner"])))) or None
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


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
