"""The steps of an evaluation: each is one learner on the problems of one setting."""

import dataclasses
from dataclasses import dataclass

from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.setting import Setting
from llm_icl.learners import Learner, learner_of, learners
from llm_icl.problems import SHUFFLED
from llm_icl.prompting.templates import Prompt


@dataclass(frozen=True)
class Job:
    """One learner in a setting. `model` is the index of a language model, None for other learners."""

    name: str
    learner: Learner | None
    model: int | None = None
    prompt: Prompt | None = None
    shuffled: bool = False


@dataclass(frozen=True)
class Step:
    """One job in one setting, and the file of its predictions until the run is finished."""

    setting: Setting
    job: Job
    part: str


def settings(request: Request) -> list[Setting]:
    return [Setting(task, n, seed) for task in request.tasks for n in request.ns for seed in request.seeds]


def steps(request: Request) -> tuple[list[Step], list[str]]:
    """All steps, by setting, and why default learners are skipped."""
    found: list[Step] = []
    left_out: list[str] = []
    for setting in settings(request):
        jobs, skipped = learner_jobs(request, setting)
        left_out += [reason for reason in skipped if reason not in left_out]
        for job in (*jobs, *model_jobs(request)):
            found.append(Step(setting, job, f"{len(found):05d}-{file_name(job.name)}"))
    return found, left_out


def learner_jobs(request: Request, setting: Setting) -> tuple[list[Job], list[str]]:
    """The classical learners and trained networks of a setting, and why default learners are skipped.

    Raises RequestError if a learner given by the user is not applicable.
    """
    trained = [Job(network.name, network) for network in request.trained]
    for network in request.trained:
        if refusal := network.refusal(setting.task, setting.n):
            raise RequestError(refusal)
    if request.learners is not None:
        chosen = [(str(spec), learner_of(spec)) for spec in request.learners]
        for name, learner in chosen:
            if refusal := learner.refusal(setting.task, setting.n):
                raise RequestError(f"learner '{name}': {refusal}")
        return [Job(name, learner) for name, learner in chosen] + trained, []
    defaults = [(name, kind()) for name, kind in learners.items() if kind.is_default_for(setting.task)]
    refusals = {name: learner.refusal(setting.task, setting.n) for name, learner in defaults}
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
