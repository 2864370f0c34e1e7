"""What an evaluation is asked to do, and the jobs that this makes."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from llm_icl.backends import ModelEntry, backends
from llm_icl.config.cards import read_text
from llm_icl.config.files import file_name
from llm_icl.config.specs import Spec, whole_numbers
from llm_icl.errors import RequestError
from llm_icl.learners import Learner, learner_of, learners
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.problems import PROBLEMS_VERSION, SHUFFLED, Task
from llm_icl.prompting.rendering import check_task, render
from llm_icl.prompting.templates import Prompt
from llm_icl.runs.opening import digest
from llm_icl.runs.versions import versions
from llm_icl.tasks.drawing import draw_problems


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
    trained: tuple[TrainedNetwork, ...]
    prompts: tuple[Prompt, ...]
    learners: tuple[Spec, ...] | None
    mode: str
    shuffled_labels: bool
    repeats: int = 1

    def record(self) -> dict[str, Any]:
        """As data for run.json."""
        return {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "n": list(self.ns),
            "seeds": list(self.seeds),
            "points": self.points,
            "problems": self.problems,
            "positions": list(self.positions),
            "models": [model.record() for model in self.models],
            "trained": [{"name": network.name, "fingerprint": network.fingerprint} for network in self.trained],
            "prompts": [{"name": prompt.name, "template": read_text(prompt.path)} for prompt in self.prompts],
            "learners": None if self.learners is None else [str(spec) for spec in self.learners],
            "mode": self.mode,
            "shuffled_labels": self.shuffled_labels,
            "repeats": self.repeats,
            "versions": {"problems": PROBLEMS_VERSION, "llm-icl": versions()["llm-icl"]},
        }

    def directory_name(self) -> str:
        """Readable, and different for every different request."""
        readable = file_name("+".join(task.name for task in self.tasks))[:60]
        return f"eval-{readable}-n{','.join(map(str, self.ns))}-{digest(self.record())}"


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


def check(request: Request, will_ask: bool = True) -> None:
    """Find every error of the request that can be found before work starts. Raises RequestError.

    What is needed to ask the models (keys, memory) is not looked for where none will be asked.
    """
    names = [model.name for model in request.models] + [network.name for network in request.trained]
    if len(set(names)) < len(names):
        raise RequestError("the same model is named twice")
    for model in request.models if will_ask else ():
        backends.get(model.backend).check(model)
    for cell in cells(request):
        problems = draw_problems(cell.task, cell.n, request.points, request.problems, cell.seed)
        classical_jobs(request, cell)
        for prompt in request.prompts if request.models else ():
            check_task(prompt, cell.task)
            for position in request.positions:
                render(prompt, problems, 0, position)


def classical_jobs(request: Request, cell: Cell) -> tuple[list[Job], list[str]]:
    """The classical learners of a cell, and why default ones are left out.

    Raises RequestError where a learner that the user named cannot answer.
    """
    trained = [Job(network.name, network) for network in request.trained]
    for network in request.trained:
        if refusal := network.refusal(cell.task, cell.n):
            raise RequestError(refusal)
    if request.learners is not None:
        chosen = [(str(spec), learner_of(spec)) for spec in request.learners]
        for name, learner in chosen:
            if refusal := learner.refusal(cell.task, cell.n):
                raise RequestError(f"learner '{name}': {refusal}")
        return [Job(name, learner) for name, learner in chosen] + trained, []
    defaults = [(name, kind()) for name, kind in learners.items() if kind.is_default_for(cell.task)]
    refusals = {name: learner.refusal(cell.task, cell.n) for name, learner in defaults}
    skipped = [f"{name}: {reason}" for name, reason in refusals.items() if reason]
    return [Job(name, learner) for name, learner in defaults if not refusals[name]] + trained, skipped


def model_jobs(request: Request) -> list[Job]:
    jobs = [
        Job(entry.name, None, index, prompt, shuffled)
        for index, entry in enumerate(request.models)
        for prompt in request.prompts
        for shuffled in ((False, True) if request.shuffled_labels else (False,))
    ]
    return [dataclasses.replace(job, name=job.name + SHUFFLED) if job.shuffled else job for job in jobs]


def read_positions(text: str, points: int) -> tuple[int, ...]:
    """`all`, or a comma list of numbers of examples before the query."""
    if text == "all":
        return tuple(range(points))
    positions = tuple(sorted(whole_numbers("--positions", [text], 0)))
    if positions[-1] >= points:
        raise RequestError(
            f"--positions {positions[-1]} is out of range: with --points {points} the last is {points - 1}"
        )
    return positions
