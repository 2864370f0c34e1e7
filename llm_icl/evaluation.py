"""Learners × tasks → predictions."""

import json
import logging
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from llm_icl.backends import LanguageModel, backends
from llm_icl.errors import RequestError
from llm_icl.files import file_name
from llm_icl.function_classes import draw_problems
from llm_icl.learners.llm import LanguageModelLearner
from llm_icl.learners.planning import plan_for
from llm_icl.problems import STATUSES, Answers, Problems
from llm_icl.request import Cell, Job, Request, cells, classical_jobs, model_jobs
from llm_icl.runs import CallCache, RunDirectory
from llm_icl.versions import versions

log = logging.getLogger(__name__)

# Told of progress: what is being done, how much of it, of how much.
Report = Callable[[str, int, int], None]


def is_done(request: Request, run: RunDirectory) -> bool:
    """Whether the directory holds the finished run of this request, made by what is installed now.

    Raises RequestError where it holds another request's.
    """
    earlier = run.record
    if earlier and earlier["request"] != json.loads(json.dumps(request.record())):
        raise RequestError(f"{run.path} holds the run of another request: give another --out")
    return run.complete and earlier["versions"] == versions()


def load_models(request: Request) -> list[LanguageModel]:
    """The language models of a request. Raises RequestError where one cannot be had, or cannot be asked so."""
    models = []
    for entry in request.models:
        log.info("loading %s", entry.name)
        models.append(backends.get(entry.backend)(entry))
        for cell in cells(request):
            problem = draw_problems(cell.task, cell.n, request.points, 1, cell.seed)
            for prompt in request.prompts:
                plan_for(models[-1], prompt, problem, request.positions, request.mode)
    return models


def evaluate(
    request: Request, models: Sequence[LanguageModel], run: RunDirectory, cache: CallCache | None, report: Report
) -> None:
    """Carry the request out in an open run directory. What the directory already holds is not done again.

    Without models there need be no cache of calls.
    """
    Evaluation(request, models, run, cache, report).carry_out()


class Evaluation:
    """One evaluation in progress, and the record that becomes run.json."""

    def __init__(
        self,
        request: Request,
        models: Sequence[LanguageModel],
        run: RunDirectory,
        cache: CallCache | None,
        report: Report,
    ) -> None:
        earlier = run.record
        if earlier and earlier["versions"] != versions():  # other code may give other numbers: nothing of it is kept
            run.forget_parts()
            earlier = {}
        self._request = request
        self._run = run
        self._cache = cache
        self._report = report
        self._models = models
        self._began = time.monotonic() - earlier.get("wall_seconds", 0.0)
        self._record: dict[str, Any] = {
            "kind": "eval",
            "status": "running",
            "command": shlex.join(["llm-icl", *sys.argv[1:]]),
            "request": request.record(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "models": {entry.name: model.identity() for entry, model in zip(request.models, models, strict=True)},
            "modes": [],
            "skipped": [],
            "calls": {"new": 0, "cached": 0},
            "seconds": {},
            "cost": 0.0,
            "versions": versions(),
        }
        # A run that was interrupted keeps what is known of it.
        self._record |= {key: value for key, value in earlier.items() if key != "command"}

    def carry_out(self) -> None:
        frames, exchanges = [], []
        jobs = [(cell, self._jobs(cell)) for cell in cells(self._request)]
        done, whole = 0, sum(len(of_cell) for _, of_cell in jobs)
        self._write_record("running")
        for cell, of_cell in jobs:
            request = self._request
            problems = draw_problems(cell.task, cell.n, request.points, request.problems, cell.seed)
            problems.save(self._run.path / "problems" / f"{file_name(cell.task.name)}-n{cell.n}-s{cell.seed}.npz")
            for job in of_cell:
                self._report(f"{cell}: {job.name}", done, whole)
                frame, exchanged = self._finish(cell, job, problems, f"{done:05d}-{file_name(job.name)}")
                frames.append(frame)
                exchanges += exchanged
                done += 1
        self._report("done", done, whole)
        self._run.finish(frames, exchanges)
        self._record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write_record("complete")
        self._run.forget_parts()

    def _jobs(self, cell: Cell) -> list[Job]:
        """The jobs of a cell; what is left out goes into the record."""
        jobs, skipped = classical_jobs(self._request, cell)
        self._record["skipped"] += [reason for reason in skipped if reason not in self._record["skipped"]]
        return [*jobs, *model_jobs(self._request)]

    def _finish(self, cell: Cell, job: Job, problems: Problems, part: str) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
        """The predictions of one job, from an earlier start where they are there, and what was exchanged for them."""
        frame = self._run.part(part)
        exchanges: list[dict[str, Any]] = []
        start = time.monotonic()
        if job.model is not None:
            answers, exchanges = self._ask(cell, job, problems, count=frame is None)
        elif frame is None:
            assert job.learner is not None
            answers = job.learner.answer_at(problems, np.array(self._request.positions))
        if frame is None:
            frame = predictions_frame(problems, self._request.positions, job, answers)
            seconds = self._record["seconds"]
            seconds[job.name] = seconds.get(job.name, 0.0) + time.monotonic() - start
            self._run.write_part(part, frame)
            self._write_record("running")
        return frame, exchanges

    def _ask(self, cell: Cell, job: Job, problems: Problems, count: bool) -> tuple[Answers, list[dict[str, Any]]]:
        """A language model's answers, from the cache where they are there, and what was exchanged."""
        assert job.model is not None and job.prompt is not None and self._cache is not None  # noqa: PT018
        asked = problems.with_shuffled_labels() if job.shuffled else problems
        model, positions, mode = self._models[job.model], self._request.positions, self._request.mode
        learner = LanguageModelLearner(model, job.prompt, self._cache, mode)
        plan = plan_for(model, job.prompt, asked, positions, mode)
        done = 0

        def progress(calls: int) -> None:
            nonlocal done
            done += calls
            self._report(f"{cell}: {job.name}", done, len(plan.calls))

        answers, exchanges, new = learner.carry_out(plan, asked, positions, progress)
        if count:
            self._record["modes"].append(
                {
                    "learner": job.name,
                    "cell": str(cell),
                    "prompt": job.prompt.name,
                    "mode": plan.mode,
                    "because": list(plan.reasons),
                }
            )
            self._record["calls"]["new"] += new
            self._record["calls"]["cached"] += len(plan.calls) - new
        about = {"learner": job.name, "task": cell.task.name, "n": cell.n, "seed": cell.seed, "prompt": job.prompt.name}
        return answers, [about | exchange for exchange in exchanges]

    def _write_record(self, status: str) -> None:
        self._record |= {"status": status, "wall_seconds": time.monotonic() - self._began}
        self._run.write_record(self._record)


def predictions_frame(problems: Problems, positions: Sequence[int], job: Job, answers: Answers) -> pl.DataFrame:
    """One row for each position of each problem."""
    chosen = np.array(positions)
    count = len(problems) * len(chosen)
    prediction = answers.prediction.ravel()
    probability = pl.Series("probability", answers.probability.ravel()).fill_nan(None)
    return pl.DataFrame(
        {
            "learner": pl.Series([job.name]).new_from_index(0, count),
            "task": pl.Series([problems.task.name]).new_from_index(0, count),
            "n": np.full(count, problems.n, dtype=np.int32),
            "seed": np.full(count, problems.seed, dtype=np.int64),
            "prompt": pl.Series([job.prompt.name if job.prompt else None], dtype=pl.String).new_from_index(0, count),
            "problem": np.repeat(problems.indices, len(chosen)),
            "position": np.tile(chosen, len(problems)),
            "label": problems.ys[:, chosen].ravel(),
            "probability": probability,
            "prediction": pl.Series(prediction).set(pl.Series(prediction < 0), None),
            "status": np.array(STATUSES)[answers.status.ravel()],
            "seen": problems.seen[:, chosen].ravel(),
        }
    )
