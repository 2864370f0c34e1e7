"""The request of an identification."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from llm_icl.backends import ModelEntry
from llm_icl.backends.base import record_of
from llm_icl.config.cards import read_text
from llm_icl.config.files import file_name
from llm_icl.config.specs import Spec
from llm_icl.experiments.identification.answers_file import AnswersFile
from llm_icl.experiments.identification.probes import Probes
from llm_icl.experiments.setting import Setting
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.problems import PROBLEMS_VERSION, Task
from llm_icl.prompting.templates import Prompt
from llm_icl.runs.opening import digest
from llm_icl.runs.versions import versions

# Incremented when the same answers would be analysed differently.
ANALYSIS_VERSION = 4


@dataclass(frozen=True)
class IdentificationRequest:
    """Subjects, and the probes that they are asked: contexts of these tasks, or those of files of answers."""

    tasks: tuple[Task, ...]
    ns: tuple[int, ...]
    seeds: tuple[int, ...]
    examples: tuple[int, ...]
    contexts: int
    queries: int
    candidates: tuple[str, ...]
    models: tuple[ModelEntry, ...]
    trained: tuple[TrainedNetwork, ...]
    learners: tuple[Spec, ...]
    answers: tuple[AnswersFile, ...]
    prompt: Prompt
    mode: str
    repeats: int

    def record(self) -> dict[str, Any]:
        """JSON data for run.json."""
        return {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "n": list(self.ns),
            "seeds": list(self.seeds),
            "examples": list(self.examples),
            "contexts": self.contexts,
            "queries": self.queries,
            "candidates": list(self.candidates),
            "models": [record_of(model) for model in self.models],
            "trained": [{"name": network.name, "fingerprint": network.fingerprint} for network in self.trained],
            "learners": [str(spec) for spec in self.learners],
            "answers": [{"name": file.name, "fingerprint": file.fingerprint} for file in self.answers],
            "prompts": [{"name": self.prompt.name, "template": read_text(self.prompt.path)}],
            "mode": self.mode,
            "repeats": self.repeats,
            "versions": {
                "problems": PROBLEMS_VERSION,
                "identification": ANALYSIS_VERSION,
                "llm-icl": versions()["llm-icl"],
            },
        }

    def directory_name(self) -> str:
        """A readable name, unique to the request."""
        readable = file_name("+".join(task.name for task in self.tasks) or self.answers[0].name)[:60]
        return f"identify-{readable}-{digest(self.record())}"

    def settings(self) -> list[Setting]:
        """The settings of drawn probes."""
        return [Setting(task, n, seed) for task in self.tasks for n in self.ns for seed in self.seeds]

    def probes(self, setting: Setting) -> Probes:
        """Raises RequestError for a candidate that does not apply."""
        return Probes.drawn(
            setting.task, setting.n, self.examples, self.contexts, self.queries, self.candidates, setting.seed
        )
