"""A suite of training runs: the networks, several at a time, and then what they are asked."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from llm_icl.backends.pool import ModelPool
from llm_icl.errors import RequestError, WorkError
from llm_icl.experiments.evaluation.run import Evaluation, Report, is_done
from llm_icl.networks.trained import TrainedNetwork, find_trained
from llm_icl.runs import RunDirectory
from llm_icl.suites.crew import Crew
from llm_icl.suites.trainings import TrainingCell, TrainingSuite, evaluations
from local_models.metrics import read_metrics

# Seconds between two looks at the runs.
_PAUSE = 1.0


def carry_out(
    suite: TrainingSuite, folder: Path, crew: Crew, report: Report
) -> tuple[list[RunDirectory], dict[str, str]]:
    """Train what is not trained yet, then ask. Returns the finished evaluations, and why some cells failed, by name."""
    todo = [cell for cell in suite.cells if not _trained(folder / cell.name, cell)]
    failed = _train(suite, todo, folder, crew, report)
    networks: dict[str, TrainedNetwork] = {}
    for cell in suite.cells:
        if cell.name in failed:
            continue
        try:
            if network := find_trained(str(folder / cell.name)):
                networks[cell.name] = network
        except RequestError as problem:
            failed[cell.name] = str(problem)
    finished = []
    for asked in evaluations(suite, networks):
        run = RunDirectory(folder / asked.name)
        try:
            if not run.is_of(asked.request.record()):
                shutil.rmtree(run.path)  # asked when other networks were there
            if not is_done(asked.request, run):
                with run:
                    Evaluation(asked.request, ModelPool(folder), run, None, report).carry_out()
            finished.append(run)
        except (RequestError, WorkError) as problem:
            failed[asked.name] = str(problem)
        except Exception as problem:  # whatever it is: the other tests go on
            failed[asked.name] = f"{type(problem).__name__}: {problem}"
    return finished, failed


def _trained(folder: Path, cell: TrainingCell) -> bool:
    run = RunDirectory(folder)
    return run.record.get("status") == "complete" and run.is_of(cell.request.record())


def _train(suite: TrainingSuite, todo: list[TrainingCell], folder: Path, crew: Crew, report: Report) -> dict[str, str]:
    whole = sum(cell.request.schedule.steps for cell in suite.cells)
    before = whole - sum(cell.request.schedule.steps for cell in todo)

    def look() -> None:
        steps = [_steps(folder / cell.name) for cell in todo]
        under_way = sum(0 < done < cell.request.schedule.steps for done, cell in zip(steps, todo, strict=True))
        report(f"training, {under_way} of {len(suite.cells)} networks under way, steps", before + sum(steps), whole)

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
