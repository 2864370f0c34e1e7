"""Runs the cells of a suite, sequentially or concurrently; a failed cell does not stop the others."""

import dataclasses
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from llm_icl.backends.pool import ModelPool
from llm_icl.errors import BudgetSpentError, RequestError, WorkError
from llm_icl.experiments.asking import AskingExperiment
from llm_icl.experiments.base import State
from llm_icl.experiments.calling import Calling
from llm_icl.experiments.evaluation.experiment import Evaluation
from llm_icl.experiments.limits import Limits
from llm_icl.experiments.training.experiment import Training
from llm_icl.networks.trained import TrainedNetwork, find_trained
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory
from llm_icl.suites.comparisons import ComparisonCell
from llm_icl.suites.crew import Crew
from llm_icl.suites.evaluations import SuiteCell
from llm_icl.suites.trainings import TrainingCell, TrainingSuite, evaluations
from local_models.metrics import read_metrics

# The polling interval in seconds.
_PAUSE = 1.0


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The finished runs that are reported, and why cells failed, by name."""

    finished: list[RunDirectory]
    failed: dict[str, str]


def run_evaluations(
    cells: Sequence[SuiteCell], folder: Path, pool: ModelPool, calling: Calling, on_progress: OnProgress, keep_old: bool
) -> Outcome:
    """Run the remaining cells, each in its own folder. Raises BudgetSpentError.

    With batches, all cells are submitted before waiting for the first.
    """
    outcome = Outcome([], {})

    def sharing(cell: SuiteCell) -> AskingExperiment:
        account = f"{calling.account}/{cell.name}"
        one = cell.experiment
        return type(one)(one.request, Limits(), pool, dataclasses.replace(calling, account=account))

    if calling.batch:
        for cell in cells:
            with _kept_apart(cell.name, outcome):
                sharing(cell).submit(folder / cell.name, keep_old=keep_old)
    for i, cell in enumerate(cells):

        def on_cell(what: str, done: int, whole: int, number: int = i + 1) -> None:
            on_progress(f"[{number}/{len(cells)}] {what}", done, whole)

        if cell.name in outcome.failed:
            continue
        with _kept_apart(cell.name, outcome):
            asked = sharing(cell)
            run = asked.run(folder / cell.name, on_cell, keep_old)
            outcome.finished.append(run)
            if failure := asked.failure(run):
                outcome.failed[cell.name] = str(failure)
    return outcome


def run_comparisons(cells: Sequence[ComparisonCell], folder: Path, on_progress: OnProgress, keep_old: bool) -> Outcome:
    """Run the remaining comparisons, one after the other."""
    outcome = Outcome([], {})
    for i, cell in enumerate(cells):

        def on_cell(what: str, done: int, whole: int, number: int = i + 1) -> None:
            on_progress(f"[{number}/{len(cells)}] {what}", done, whole)

        with _kept_apart(cell.name, outcome):
            outcome.finished.append(cell.experiment.run(folder / cell.name, on_cell, keep_old))
    return outcome


def run_trainings(suite: TrainingSuite, folder: Path, crew: Crew, on_progress: OnProgress, keep_old: bool) -> Outcome:
    """Train the remaining networks, then evaluate all networks and classical learners on the same problems."""
    todo = [cell for cell in suite.cells if not _stands(cell, folder / cell.name, keep_old)]
    outcome = Outcome([], _train(suite, todo, folder, crew, on_progress))
    networks: dict[str, TrainedNetwork] = {}
    for cell in suite.cells:
        if cell.name not in outcome.failed:
            with _kept_apart(cell.name, outcome):
                if network := find_trained(str(folder / cell.name)):
                    networks[cell.name] = network
    with closing(ModelPool(folder)) as pool:
        for asked in evaluations(suite, networks):
            with _kept_apart(asked.name, outcome):
                run = RunDirectory(folder / asked.name)
                if not run.is_of(asked.experiment.record()):
                    shutil.rmtree(run.path)  # evaluated with a different set of networks
                evaluation = Evaluation(asked.experiment.request, Limits(), pool)
                outcome.finished.append(evaluation.run(run.path, on_progress, keep_old))
    return outcome


@contextmanager
def _kept_apart(name: str, outcome: Outcome) -> Iterator[None]:
    """Record an error as the failure of one cell; an exceeded budget stops all."""
    try:
        yield
    except BudgetSpentError:
        raise
    except (RequestError, WorkError) as problem:
        outcome.failed[name] = str(problem)
    except Exception as problem:  # any error of a model or an engine: other cells continue
        outcome.failed[name] = str(problem) or "no reason is known"


def _stands(cell: TrainingCell, folder: Path, keep_old: bool) -> bool:
    try:
        state = Training(cell.request).state(RunDirectory(folder))
    except RequestError:  # a different run: training raises the error
        return False
    return state is State.FINISHED or (keep_old and state is State.OUTDATED)


def _train(
    suite: TrainingSuite, todo: list[TrainingCell], folder: Path, crew: Crew, on_progress: OnProgress
) -> dict[str, str]:
    whole = sum(cell.request.schedule.steps for cell in suite.cells)
    before = whole - sum(cell.request.schedule.steps for cell in todo)

    ended: set[str] = set()  # some before their last step

    def look() -> None:
        left = [cell for cell in todo if cell.name not in ended]
        ended.update(cell.name for cell in left if _stands(cell, folder / cell.name, keep_old=False))
        steps = [cell.request.schedule.steps if cell.name in ended else _steps(folder / cell.name) for cell in todo]
        failed = crew.failures()
        under_way = sum(
            0 < done < cell.request.schedule.steps and cell.name not in failed
            for done, cell in zip(steps, todo, strict=True)
        )
        on_progress(f"training, {under_way} of {len(suite.cells)} networks active, steps", before + sum(steps), whole)

    with crew:
        for cell in todo:
            crew.give(cell.name, cell.request, folder / cell.name)
        return _wait(crew, look)


def _wait(crew: Crew, look: Callable[[], None]) -> dict[str, str]:
    while not crew.finished():
        look()
        time.sleep(_PAUSE)
    look()
    return crew.failures()


def _steps(folder: Path) -> int:
    lines = read_metrics(folder)
    return int(lines[-1]["step"]) if lines else 0
