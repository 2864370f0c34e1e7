"""The cells of a suite, one after the other; one that fails does not stop the rest."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from llm_icl.backends.pool import ModelPool
from llm_icl.config.specs import counted
from llm_icl.errors import BudgetSpentError, RequestError, WorkError
from llm_icl.experiments.evaluation.run import Calling, Evaluation, Report, is_done
from llm_icl.runs import RunDirectory
from llm_icl.suites.evaluations import SuiteCell


def carry_out(
    cells: Sequence[SuiteCell], folder: Path, pool: ModelPool, calling: Calling, report: Report
) -> dict[str, str]:
    """Do what is not done yet, each cell in a folder of its own. Returns why some failed, by name.

    With batches, all cells are submitted before the first is waited for. Raises BudgetSpentError.
    """
    failed = {}
    if calling.batch:
        failed = _each(cells, folder, pool, calling, report, Evaluation.submit)
    others = [cell for cell in cells if cell.name not in failed]
    return failed | _each(others, folder, pool, calling, report, Evaluation.carry_out)


def _each(
    cells: Sequence[SuiteCell],
    folder: Path,
    pool: ModelPool,
    calling: Calling,
    report: Report,
    work: Callable[[Evaluation], dict[str, int]],
) -> dict[str, str]:
    failed = {}
    for i, cell in enumerate(cells):
        run = RunDirectory(folder / cell.name)

        def told(what: str, done: int, whole: int, number: int = i + 1) -> None:
            report(f"[{number}/{len(cells)}] {what}", done, whole)

        try:
            if is_done(cell.request, run):
                continue
            part = dataclasses.replace(calling, account=f"{calling.account}/{cell.name}")
            with run:
                errors = work(Evaluation(cell.request, pool, run, part, told))
            if errors:
                failed[cell.name] = f"{counted(sum(errors.values()), 'call')} failed ({next(iter(errors))})"
        except BudgetSpentError:
            raise
        except (RequestError, WorkError) as problem:
            failed[cell.name] = str(problem)
        except Exception as problem:  # whatever a model or an engine raises: the other cells go on
            failed[cell.name] = f"{type(problem).__name__}: {problem}"
    return failed
