"""Learners × tasks → predictions."""

import dataclasses
import hashlib
import json
import logging
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl

from llm_icl.backends import LanguageModel, ModelEntry, backends
from llm_icl.errors import RequestError
from llm_icl.function_classes import draw_problems
from llm_icl.learners import Learner, learner_of, learners
from llm_icl.learners.llm import LanguageModelLearner
from llm_icl.naming import Spec
from llm_icl.problems import PROBLEMS_VERSION, SHUFFLED, STATUSES, Answers, Problems, Task
from llm_icl.prompting.rendering import check_task
from llm_icl.prompting.templates import Prompt
from llm_icl.runs import CallCache, RunDirectory
from llm_icl.versions import versions

log = logging.getLogger(__name__)

# Told of progress: what is being done, how much of it, of how much.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Request:
    """Everything that an evaluation is asked to do; as a whole it is the identity of the run."""

    tasks: tuple[Task, ...]
    ns: tuple[int, ...]
    seeds: tuple[int, ...]
    points: int
    problems: int
    positions: tuple[int, ...]
    models: tuple[ModelEntry, ...]
    prompts: tuple[Prompt, ...]
    learners: tuple[Spec, ...] | None
    mode: str
    shuffled_labels: bool

    def record(self) -> dict[str, Any]:
        """As data for run.json."""
        return {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "n": list(self.ns),
            "seeds": list(self.seeds),
            "points": self.points,
            "problems": self.problems,
            "positions": list(self.positions),
            "models": [dataclasses.asdict(model) for model in self.models],
            "prompts": [{"name": prompt.name, "template": prompt.path.read_text()} for prompt in self.prompts],
            "learners": None if self.learners is None else [str(spec) for spec in self.learners],
            "mode": self.mode,
            "shuffled_labels": self.shuffled_labels,
            "versions": {"problems": PROBLEMS_VERSION, "llm-icl": versions()["llm-icl"]},
        }

    def directory_name(self) -> str:
        """Readable, and different for every different request."""
        record = json.dumps(self.record(), sort_keys=True, default=str)
        names = "+".join(task.name for task in self.tasks)[:60]
        readable = "".join(c if c.isalnum() or c in "-+.=" else "_" for c in names)
        digest = hashlib.sha256(record.encode()).hexdigest()[:8]
        return f"eval-{readable}-n{','.join(map(str, self.ns))}-{digest}"


@dataclass(frozen=True)
class Cell:
    """One task at one n and seed."""

    task: Task
    n: int
    seed: int

    def __str__(self) -> str:
        return f"{self.task.name} n={self.n} seed={self.seed}"


@dataclass(frozen=True)
class Job:
    """One learner on one cell. `model` is the index of a language model, None for a classical learner."""

    name: str
    learner: Learner | None
    model: int | None = None
    prompt: Prompt | None = None
    shuffled: bool = False


def cells(request: Request) -> list[Cell]:
    return [Cell(task, n, seed) for task in request.tasks for n in request.ns for seed in request.seeds]


def check(request: Request) -> None:
    """Find every error of the request that can be found before work starts. Raises RequestError."""
    for cell in cells(request):
        draw_problems(cell.task, cell.n, request.points, min(request.problems, 2), cell.seed)
        classical_jobs(request, cell)
        for prompt in request.prompts if request.models else ():
            check_task(prompt, cell.task)


def classical_jobs(request: Request, cell: Cell) -> tuple[list[Job], list[str]]:
    """The classical learners of a cell, and why default ones are left out.

    Raises RequestError where a learner that the user named cannot answer.
    """
    if request.learners is not None:
        chosen = [(str(spec), learner_of(spec)) for spec in request.learners]
        for name, learner in chosen:
            if refusal := learner.refusal(cell.task, cell.n):
                raise RequestError(f"learner '{name}': {refusal}")
        return [Job(name, learner) for name, learner in chosen], []
    defaults = [(name, kind()) for name, kind in learners.items() if kind.is_default_for(cell.task)]
    refusals = {name: learner.refusal(cell.task, cell.n) for name, learner in defaults}
    skipped = [f"{name}: {reason}" for name, reason in refusals.items() if reason]
    return [Job(name, learner) for name, learner in defaults if not refusals[name]], skipped


def model_jobs(request: Request) -> list[Job]:
    jobs = [
        Job(entry.name, None, index, prompt, shuffled)
        for index, entry in enumerate(request.models)
        for prompt in request.prompts
        for shuffled in ((False, True) if request.shuffled_labels else (False,))
    ]
    return [dataclasses.replace(job, name=job.name + SHUFFLED) if job.shuffled else job for job in jobs]


def evaluate(request: Request, run: RunDirectory, cache: CallCache, report: Report) -> dict[str, Any]:
    """Carry the request out in an open run directory, and return the record of the run.

    What the directory already holds is not done again. `report(what, done, all)` is told of progress.
    """
    started, clock = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    earlier = run.record
    if earlier and earlier["request"] != json.loads(json.dumps(request.record())):
        raise RequestError(f"{run.path} holds the run of another request: give another --out")
    if earlier.get("status") == "complete":
        return earlier
    record: dict[str, Any] = {
        "kind": "eval",
        "status": "running",
        "command": shlex.join(["llm-icl", *sys.argv[1:]]),
        "request": request.record(),
        "started": earlier.get("started", started),
        "versions": versions(),
        "models": earlier.get("models", {}),
        "modes": earlier.get("modes", []),
        "skipped": [],
        "calls": earlier.get("calls", {"new": 0, "cached": 0}),
        "seconds": earlier.get("seconds", {}),
        "cost": 0.0,
    }
    run.write_record(record)
    loaded = _Models(request, record)
    frames, exchanges = [], []
    work = [(cell, job) for cell in cells(request) for job in [*_noted(request, cell, record), *model_jobs(request)]]
    problems: Problems | None = None
    for number, (cell, job) in enumerate(work):
        if problems is None or (problems.task, problems.n, problems.seed) != (cell.task, cell.n, cell.seed):
            problems = draw_problems(cell.task, cell.n, request.points, request.problems, cell.seed)
            problems.save(run.path / "problems" / f"{_file_name(cell.task.name)}-n{cell.n}-s{cell.seed}.npz")
        what = f"{cell}: {job.name}"
        report(what, number, len(work))
        name = f"{number:05d}-{_file_name(job.name)}"
        frame = run.part(name)
        if frame is None or job.model is not None:
            tick = time.monotonic()
            if job.learner is not None:
                answers = job.learner.answer(problems).at(np.array(request.positions))
            else:
                answers, exchanged = _ask_model(request, cell, job, problems, loaded.get(job), cache, record, report)
                exchanges += exchanged
            if frame is None:
                frame = predictions_frame(problems, request.positions, job, answers)
                record["seconds"][job.name] = record["seconds"].get(job.name, 0.0) + time.monotonic() - tick
                run.write_part(name, frame)
                run.write_record(record)
        frames.append(frame)
    report("done", len(work), len(work))
    run.finish(frames, exchanges)
    record |= {
        "status": "complete",
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "wall_seconds": earlier.get("wall_seconds", 0.0) + time.monotonic() - clock,
    }
    run.write_record(record)
    run.forget_parts()
    return record


class _Models:
    """The language models of a request, loaded when first needed."""

    def __init__(self, request: Request, record: dict[str, Any]) -> None:
        self._entries = request.models
        self._record = record
        self._loaded: dict[int, LanguageModel] = {}

    def get(self, job: Job) -> LanguageModel:
        assert job.model is not None
        if job.model not in self._loaded:
            entry = self._entries[job.model]
            log.info("loading %s", entry.name)
            self._loaded[job.model] = backends.get(entry.backend)(entry)  # type: ignore[call-arg]
            self._record["models"][entry.name] = self._loaded[job.model].identity()
        return self._loaded[job.model]


def _ask_model(
    request: Request, cell: Cell, job: Job, problems: Problems, model: LanguageModel, cache: CallCache,
    record: dict[str, Any], report: Report,
) -> tuple[Answers, list[dict[str, Any]]]:  # fmt: skip
    assert job.prompt is not None
    asked = problems.with_shuffled_labels() if job.shuffled else problems
    learner = LanguageModelLearner(model, job.prompt, cache, request.mode)
    plan = learner.plan(asked, request.positions)
    mode = {"learner": job.name, "cell": str(cell), "prompt": job.prompt.name, "mode": plan.mode}
    entry = mode | {"because": list(plan.reasons)}
    if entry not in record["modes"]:
        record["modes"].append(entry)
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        report(f"{cell}: {job.name}", done, len(plan.calls))

    answers, exchanges, new = learner.carry_out(plan, asked, request.positions, progress)
    record["calls"]["new"] += new
    record["calls"]["cached"] += len(plan.calls) - new
    about = {"learner": job.name, "task": cell.task.name, "n": cell.n, "seed": cell.seed, "prompt": job.prompt.name}
    return answers, [about | exchange for exchange in exchanges]


def _noted(request: Request, cell: Cell, record: dict[str, Any]) -> list[Job]:
    """The classical jobs of a cell; what is left out goes into the record."""
    jobs, skipped = classical_jobs(request, cell)
    for reason in skipped:
        if reason not in record["skipped"]:
            record["skipped"].append(reason)
    return jobs


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


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-+.=" else "_" for c in name)[:80]
