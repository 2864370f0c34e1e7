"""Learners × tasks → predictions."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from llm_icl.asking.answers import AnsweredPlan, answer_plan, missing_requests
from llm_icl.asking.batches import Batches
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache, call_key
from llm_icl.asking.channels import Channel, LocalChannel
from llm_icl.asking.modes.base import Plan
from llm_icl.asking.plan import plan_for
from llm_icl.asking.sending import Sender
from llm_icl.backends import LanguageModel, ModelEntry
from llm_icl.backends.base import LocalModel
from llm_icl.backends.hosted.model import RemoteModel
from llm_icl.backends.pool import ModelPool
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.request import Cell, Job, Request, cells, classical_jobs, model_jobs
from llm_icl.predictions import predictions_frame
from llm_icl.problems import Answers, Problems
from llm_icl.runs import RunDirectory, opening_record
from llm_icl.runs.versions import versions
from llm_icl.tasks.drawing import draw_problems

log = logging.getLogger(__name__)
# Told of progress: what is being done, how much of it, of how much.
Report = Callable[[str, int, int], None]


def is_done(request: Request, run: RunDirectory) -> bool:
    """Whether the directory holds the finished run of this request, made by what is installed now.

    What failed in it is asked again. Raises RequestError where it holds another request's.
    """
    run.check_request(request.record())
    earlier = run.record
    return run.complete and earlier["versions"] == versions() and not earlier.get("failed")


@dataclass(frozen=True)
class Calling:
    """How calls are made; unlike the request it does not change what is answered. Without models it is not needed."""

    cache: CallCache
    account: str
    budget: Budget
    at_once: int | None = None
    batch: bool = False


def check_first_model(request: Request, pool: ModelPool) -> None:
    """Load the first model and see that it can be asked so: what is wrong then leaves nothing behind.

    Raises RequestError.
    """
    if request.models:
        _ways(request, request.models[0], pool)


def _ways(request: Request, entry: ModelEntry, pool: ModelPool) -> list[str]:
    """How a model will be asked, in words, from the first problem of each cell. Raises RequestError where it cannot."""
    model, ways = pool.get(entry), []
    for cell in cells(request):
        problem = draw_problems(cell.task, cell.n, request.points, 1, cell.seed)
        for prompt in request.prompts:
            plan = plan_for(model, prompt, problem, request.positions, request.mode, request.repeats)
            because = f" ({'; '.join(plan.reasons)})" if plan.reasons else ""
            ways.append(f"{entry.name} with prompt {prompt.name} is asked in the mode {plan.mode}{because}")
    return list(dict.fromkeys(ways))


@dataclass(frozen=True)
class Step:
    """One job on one cell, and where its predictions are kept until the run is finished."""

    cell: Cell
    job: Job
    part: str


class Evaluation:
    """One request being carried out in an open run directory, and the record that becomes run.json.

    What the directory already holds is not done again.
    """

    def __init__(
        self, request: Request, pool: ModelPool, run: RunDirectory, calling: Calling | None, report: Report
    ) -> None:
        earlier = run.record
        # Other code may give other numbers, and what failed is asked again: nothing of the results is kept.
        if earlier and (earlier["versions"] != versions() or earlier.get("failed")):
            run.forget_parts()
            earlier = {}
        self._request = request
        self._pool = pool
        self._run = run
        self._calling = calling
        self._report = report
        self._began = time.monotonic() - earlier.get("wall_seconds", 0.0)
        self._record = opening_record("eval", request.record()) | {
            "models": {},
            "networks": {network.name: network.about() for network in request.trained},
            "modes": [],
            "skipped": [],
            "calls": {"new": 0, "cached": 0},
            "retries": {},
            "tokens": {},
            "failed": {},
            "seconds": {},
            "cost": 0.0,
        }
        # A run that was interrupted keeps what is known of it.
        self._record |= {key: value for key, value in earlier.items() if key != "command"}
        self._steps = self._plan_steps()
        self._frames: dict[str, pl.DataFrame] = {}
        self._exchanges: dict[str, list[dict[str, Any]]] = {}

    def carry_out(self) -> dict[str, int]:
        """Do it all. Returns why calls failed, with counts: their positions are missing.

        Raises WorkError where the work must stop before its end.
        """
        self._write_record("running")
        try:
            for step in self._steps:
                if step.job.learner is not None:
                    self._answer(step)
            for index in range(len(self._request.models)):
                with self._model(index) as (model, channel):
                    for step in self._steps_of(index):
                        self._ask(step, model, channel)
        finally:
            self._write_record("running")
        self._report("done", len(self._steps), len(self._steps))
        order = [step.part for step in self._steps]
        self._run.finish(
            [self._frames[part] for part in order],
            [exchange for part in order for exchange in self._exchanges.get(part, [])],
        )
        self._record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
        self._write_record("complete")
        self._run.forget_parts()
        failed: dict[str, int] = self._record["failed"]
        return failed

    def submit(self) -> dict[str, int]:
        """Hand all questions to the providers' batch interfaces, and wait for nothing: what fails shows later."""
        for index in range(len(self._request.models)):
            with self._model(index):
                pass
        return {}

    def _plan_steps(self) -> list[Step]:
        steps: list[Step] = []
        for cell in cells(self._request):
            jobs, skipped = classical_jobs(self._request, cell)
            self._record["skipped"] += [reason for reason in skipped if reason not in self._record["skipped"]]
            for job in (*jobs, *model_jobs(self._request)):
                steps.append(Step(cell, job, f"{len(steps):05d}-{file_name(job.name)}"))
        return steps

    def _steps_of(self, model: int) -> list[Step]:
        return [step for step in self._steps if step.job.model == model]

    def _problems(self, step: Step) -> Problems:
        request, cell = self._request, step.cell
        problems = draw_problems(cell.task, cell.n, request.points, request.problems, cell.seed)
        path = self._run.path / "problems" / f"{file_name(cell.task.name)}-n{cell.n}-s{cell.seed}.npz"
        if not path.is_file():
            problems.save(path)
        return problems

    def _answer(self, step: Step) -> None:
        """A classical learner's answers."""
        assert step.job.learner is not None
        if not self._known(step):
            began = time.monotonic()
            self._report(f"{step.cell}: {step.job.name}", len(self._frames), len(self._steps))
            problems = self._problems(step)
            answers = step.job.learner.answer_at(problems, np.array(self._request.positions))
            self._keep(step, problems, answers, began)

    def _known(self, step: Step) -> bool:
        """Whether an earlier start has finished this step; its predictions are then taken over."""
        frame = self._run.part(step.part)
        if frame is not None:
            self._frames[step.part] = frame
        return frame is not None

    def _keep(self, step: Step, problems: Problems, answers: Answers, began: float) -> None:
        frame = predictions_frame(problems, self._request.positions, step.job, answers)
        seconds = self._record["seconds"]
        seconds[step.job.name] = seconds.get(step.job.name, 0.0) + time.monotonic() - began
        self._run.write_part(step.part, frame)
        self._frames[step.part] = frame
        self._write_record("running")

    @contextmanager
    def _model(self, index: int) -> Iterator[tuple[LanguageModel, Channel | None]]:
        """A language model for as long as its steps take, with the channel to it where it is remote; with --batch all
        its questions are then on their way.
        """
        assert self._calling is not None
        calling, entry = self._calling, self._request.models[index]
        for way in _ways(self._request, entry, self._pool):
            log.info(way)
        model = self._pool.get(entry)
        self._record["models"][entry.name] = model.identity()
        sender: Sender | None = None
        channel: Channel | None = None
        try:
            if isinstance(model, RemoteModel):
                channel = sender = Sender(model, calling.cache, calling.account, calling.budget, calling.at_once)
            if calling.batch:
                if sender is None:
                    raise RequestError(f"--batch: {entry.name} is no hosted model")
                channel = batches = Batches(sender, calling.cache, calling.account, calling.budget)
                for step in self._steps_of(index):
                    plan = self._plan(step, model, self._shown(step))
                    batches.submit(missing_requests(plan, model.identity(), calling.cache))
            yield model, channel
        finally:
            self._record["models"][entry.name] = model.identity() | model.found()
            if sender is not None:
                for kind, count in sender.retries.items():
                    self._record["retries"][kind] = self._record["retries"].get(kind, 0) + count
                sender.close()

    def _shown(self, step: Step) -> Problems:
        problems = self._problems(step)
        return problems.with_shuffled_labels() if step.job.shuffled else problems

    def _plan(self, step: Step, model: LanguageModel, shown: Problems) -> Plan:
        assert step.job.prompt is not None
        request = self._request
        return plan_for(model, step.job.prompt, shown, request.positions, request.mode, request.repeats)

    def _ask(self, step: Step, model: LanguageModel, channel: Channel | None) -> None:
        """A language model's answers, from the cache where they are there, and what was exchanged."""
        assert self._calling is not None
        job, cell, cache, began = step.job, step.cell, self._calling.cache, time.monotonic()
        assert job.prompt is not None
        shown = self._shown(step)
        plan = self._plan(step, model, shown)
        if channel is None:
            assert isinstance(model, LocalModel)
            channel = LocalChannel(model, plan, cache)
        whole, done = len({call_key(model.identity(), call.request.data()) for call in plan.calls}), 0

        def on_calls(calls: int, what: str) -> None:
            nonlocal done
            done += calls
            self._report(f"{cell}: {job.name}{f' ({what})' if what else ''}", done, whole)

        positions = self._request.positions
        answered = answer_plan(plan, model.identity(), job.prompt, shown, positions, cache, channel, on_calls)
        about = {"learner": job.name, "task": cell.task.name, "n": cell.n, "seed": cell.seed, "prompt": job.prompt.name}
        self._exchanges[step.part] = [about | exchange for exchange in answered.exchanges]
        if not self._known(step):
            self._count(step, plan, answered)
            self._keep(step, shown, answered.answers, began)

    def _count(self, step: Step, plan: Plan, answered: AnsweredPlan) -> None:
        """What a job adds to the record: how it was asked, calls, tokens, failures."""
        job = step.job
        assert job.prompt is not None
        record = self._record
        mode = {"learner": job.name, "cell": str(step.cell), "prompt": job.prompt.name, "mode": plan.mode}
        record["modes"].append(mode | {"because": list(plan.reasons), "agreement": answered.agreement})
        record["calls"]["new"] += answered.new
        record["calls"]["cached"] += len(plan.calls) - answered.new
        for failure in answered.failures:
            record["failed"][failure] = record["failed"].get(failure, 0) + 1
        for kind, count in answered.usage.items():
            record["tokens"][kind] = record["tokens"].get(kind, 0) + count

    def _write_record(self, status: str) -> None:
        if self._calling is not None:
            self._record["cost"] = self._calling.cache.spent(self._calling.account)[0]
        self._record |= {"status": status, "wall_seconds": time.monotonic() - self._began}
        self._run.write_record(self._record)
