"""Where learners are compared: one task at one n and seed."""

from dataclasses import dataclass

from llm_icl.problems import Task


@dataclass(frozen=True)
class Setting:
    """One task at one n and seed."""

    task: Task
    n: int
    seed: int

    def __str__(self) -> str:
        return f"{self.task.name} n={self.n} seed={self.seed}"
