"""Whose attention heads are looked at, over which problems."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from llm_icl.backends import ModelEntry
from llm_icl.networks.trained import TrainedNetwork
from llm_icl.problems import PROBLEMS_VERSION, Task
from llm_icl.prompting.templates import Prompt
from llm_icl.runs.versions import versions


@dataclass(frozen=True)
class ProbeRequest:
    """The models and problems of a probe. For the induction score, `points` // `copies` points are repeated `copies`
    times; for the nearest-neighbour score, the queries are the second half of the points.
    """

    models: tuple[ModelEntry, ...]
    trained: tuple[TrainedNetwork, ...]
    task: Task
    n: int
    points: int
    problems: int
    copies: int
    seed: int
    prompt: Prompt

    def record(self) -> dict[str, Any]:
        return {
            "models": [model.record() for model in self.models],
            "trained": [{"name": network.name, "fingerprint": network.fingerprint} for network in self.trained],
            "tasks": [dataclasses.asdict(self.task)],
            "n": [self.n],
            "points": self.points,
            "problems": self.problems,
            "copies": self.copies,
            "seeds": [self.seed],
            "prompts": [self.prompt.name],
            "versions": {"problems": PROBLEMS_VERSION, "llm-icl": versions()["llm-icl"]},
        }
