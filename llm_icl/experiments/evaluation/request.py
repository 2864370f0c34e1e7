"""The request of an evaluation."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from llm_icl.backends import ModelEntry
from llm_icl.backends.base import record_of
from llm_icl.config.cards import read_text
from llm_icl.config.files import file_name
from llm_icl.config.specs import Spec
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.problems import PROBLEMS_VERSION, Task
from llm_icl.prompting.templates import Prompt
from llm_icl.runs.opening import digest
from llm_icl.runs.versions import versions


@dataclass(frozen=True)
class Request:
    """The complete request of an evaluation; it identifies the run."""

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
        """JSON data for run.json."""
        return {
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "n": list(self.ns),
            "seeds": list(self.seeds),
            "points": self.points,
            "problems": self.problems,
            "positions": list(self.positions),
            "models": [record_of(model) for model in self.models],
            "trained": [{"name": network.name, "fingerprint": network.fingerprint} for network in self.trained],
            "prompts": [{"name": prompt.name, "template": read_text(prompt.path)} for prompt in self.prompts],
            "learners": None if self.learners is None else [str(spec) for spec in self.learners],
            "mode": self.mode,
            "shuffled_labels": self.shuffled_labels,
            "repeats": self.repeats,
            "versions": {"problems": PROBLEMS_VERSION, "llm-icl": versions()["llm-icl"]},
        }

    def directory_name(self) -> str:
        """A readable name, unique to the request."""
        readable = file_name("+".join(task.name for task in self.tasks))[:60]
        return f"eval-{readable}-n{','.join(map(str, self.ns))}-{digest(self.record())}"
