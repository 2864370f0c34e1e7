"""Suites that train networks (`kind: train`), then evaluate them and classical learners on the same problems."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card
from llm_icl.config.files import file_name
from llm_icl.config.specs import Spec, parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.experiment import Evaluation
from llm_icl.experiments.evaluation.options import EvaluationOptions
from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.limits import Limits
from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from llm_icl.experiments.training.request import TrainingRequest
from llm_icl.learners import learner_of
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.problems import Task
from llm_icl.suites.evaluations import SuiteCell
from llm_icl.suites.matrix import Matrix, checked_by, listed, read_matrix, refuse_repeats
from llm_icl.tasks.drawing import draw_problems

AXES = ("architecture", "task", "n", "layers", "width", "parameters", "optimiser", "rate", "seed")
_DEFAULT = TrainingOptions(task=())
DEFAULT_AXES = {axis: [getattr(_DEFAULT, axis)] for axis in AXES if axis not in ("architecture", "task", "n")}
_OPTIONS = ("points", "steps", "batch-size", "stop-at", "evaluate-every", "start-n", "start-points", "test")
# The number of evaluation problems, and the classical learners for comparison.
SETTINGS: dict[str, Any] = {
    **{option: getattr(_DEFAULT, option.replace("-", "_")) for option in _OPTIONS},
    "problems": 100,
    "learner": [],
}
_CHECK = checked_by(TrainingOptions, EvaluationOptions)


@dataclass(frozen=True)
class TrainingCell:
    """One network to train: its name for a folder, and its name in a report."""

    name: str
    label: str
    request: TrainingRequest


@dataclass(frozen=True)
class TrainingSuite:
    """Networks to train, and their evaluation. `learners` are the classical ones; `others` are those at some points
    (task, n) instead.
    """

    name: str
    cells: Sequence[TrainingCell]
    problems: int
    learners: tuple[Spec, ...] | None
    others: Mapping[tuple[str, int], tuple[Spec, ...]] = field(default_factory=dict)

    def records(self) -> list[Any]:
        asked: dict[str, Any] = {
            "problems": self.problems,
            "learners": self.learners and [str(spec) for spec in self.learners],
        }
        if self.others:
            asked["others"] = {str(point): [str(spec) for spec in specs] for point, specs in self.others.items()}
        return [asked, *(cell.request.record() for cell in self.cells)]

    def learners_of(self, task: str, n: int) -> tuple[Spec, ...] | None:
        return self.others.get((task, n), self.learners)


def load_training_suite(name: str, card: Card, tasks_dir: Path | None = None) -> TrainingSuite:
    """The suite of a card. Raises RequestError for the first invalid cell."""
    matrix = read_matrix(card, AXES, DEFAULT_AXES, SETTINGS, _CHECK)
    cells = [_cell(name, matrix, point, tasks_dir) for point in matrix.points(AXES)]
    refuse_repeats(name, [cell.name for cell in cells])
    tested = [
        (cell.label, test.name, cell.request.n, cell.request.points) for cell in cells for test in cell.request.tests
    ]
    if len(set(tested)) < len(tested):  # networks for different tasks share an evaluation
        cells = [dataclasses.replace(cell, label=f"{cell.label} on {_tasks(cell.request)}") for cell in cells]
    for override in matrix.overrides:
        for key in set(override) - {"when", "learner", *_OPTIONS}:
            raise card.error(f"'{key}' applies to the whole suite and cannot be overridden", "overrides")
        if "learner" in override and not set(override["when"]) <= {"task", "n"}:
            raise card.error("'learner' can be overridden for a task and an n only", "overrides")
    suite = TrainingSuite(
        name,
        cells,
        matrix.settings["problems"],
        _learners(matrix.settings) or None,
        {
            (str(point["task"]), int(point["n"])): _learners(settings)
            for point in matrix.points(("task", "n"))
            if (settings := matrix.settings_at(point))["learner"] != matrix.settings["learner"]
        },
    )
    _check_evaluations(suite)
    return suite


def evaluations(suite: TrainingSuite, networks: Mapping[str, TrainedNetwork]) -> list[SuiteCell]:
    """The evaluations of the trained networks (by the name of their cell): a cell for each test."""
    groups: dict[tuple[str, int, int], tuple[Task, list[TrainedNetwork]]] = {}
    for cell in suite.cells:
        if cell.name in networks:
            for task in cell.request.tests:
                key = (task.name, cell.request.n, cell.request.points)
                network = dataclasses.replace(networks[cell.name], name=cell.label)
                groups.setdefault(key, (task, []))[1].append(network)
    return [
        SuiteCell(
            file_name(f"asked+{name}+n={n}+points={points}"),
            Evaluation(
                Request(
                    tasks=(task,), ns=(n,), seeds=(0,), points=points, problems=suite.problems,
                    positions=tuple(range(points)), models=(), trained=tuple(trained), prompts=(),
                    learners=suite.learners_of(task.name, n), mode="auto", shuffled_labels=False,
                ),
                Limits(),
            ),
        )
        for (name, n, points), (task, trained) in groups.items()
    ]  # fmt: skip


def _learners(settings: Mapping[str, Any]) -> tuple[Spec, ...]:
    return tuple(parse_specs(map(str, listed(settings["learner"]))))


def _check_evaluations(suite: TrainingSuite) -> None:
    """Raise RequestError for evaluations that would fail after training."""
    tests = {(test.name, cell.request.n): test for cell in suite.cells for test in cell.request.tests}
    for (name, n), test in tests.items():
        points = max(cell.request.points for cell in suite.cells if cell.request.n == n)
        try:
            draw_problems(test, n, points, suite.problems, 0)
        except RequestError as problem:
            raise RequestError(f"suite '{suite.name}', evaluation on {test.name}: {problem}") from None
        for spec in suite.learners_of(name, n) or ():
            if refusal := learner_of(spec).refusal(test, n):
                raise RequestError(f"suite '{suite.name}', learner '{spec}': {refusal}")


def _tasks(request: TrainingRequest) -> str:
    return " + ".join(task.name for task in request.tasks)


def _cell(suite: str, matrix: Matrix, point: Mapping[str, Any], tasks_dir: Path | None) -> TrainingCell:
    said = [axis for axis in AXES[3:] if len(matrix.axes[axis]) > 1]
    label = " ".join([str(point["architecture"]), *(f"{axis}={point[axis]}" for axis in said)])
    name = f"{label} {point['task']} n={point['n']}"
    settings = {key: value for key, value in matrix.settings_at(point).items() if key in _OPTIONS}
    chosen = {**settings, **point, "test": listed(settings["test"] or []), "tasks_dir": tasks_dir}
    try:
        training = Training.of(TrainingOptions.of(chosen))
        training.check()
        return TrainingCell(file_name(name.replace(" ", "+")), label, training.request)
    except RequestError as problem:
        raise RequestError(f"suite '{suite}', cell {name}: {problem}") from None
