"""What a mode is, and the plan that it makes."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from llm_icl.asking.replies import Outcome
from llm_icl.backends.base import LanguageModel, LocalModel
from llm_icl.backends.exchange import Reply, Request
from llm_icl.problems import Problems
from llm_icl.prompting.templates import Prompt

R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Planned:
    """One call that is to be made, for problem `problem` at `positions`. `text` is the prompt as people see it."""

    problem: int
    positions: tuple[int, ...]
    text: str
    request: Request


@dataclass(frozen=True)
class Plan:
    """The calls of one cell, all in one mode, and why a better mode was not possible. The first `shared` tokens are
    common to all prompts.
    """

    mode: str
    calls: tuple[Planned, ...]
    too_long: tuple[tuple[int, int], ...] = ()
    shared: int = 0
    reasons: tuple[str, ...] = ()


class Mode(ABC, Generic[R]):
    """One way to ask for labels."""

    name: str
    # Whether the answer is what the model writes: that may be more than the label, and another one the next time.
    writes = False

    @abstractmethod
    def plan(
        self, model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], repeats: int
    ) -> Plan:
        """The calls that answer a cell. Raises CannotScoreError, with the reason, where they would not be exact."""

    def least_positions(self, model: LanguageModel) -> int:
        """From how many positions of a problem on this mode is worth its cost."""
        return 1

    def blocks(self, model: LocalModel, calls: Sequence[Planned]) -> Iterable[Sequence[Planned]]:
        """What a model in this process is asked together: the calls of as many problems as it takes."""
        blocks: dict[int, list[Planned]] = {}
        for call in calls:
            blocks.setdefault(call.problem // model.problems_at_once, []).append(call)
        return blocks.values()

    def ask(self, model: LocalModel, requests: Sequence[R], shared: int) -> list[Reply]:
        """The replies of a model in this process."""
        raise NotImplementedError(f"the mode {self.name} is for models behind an interface")

    @abstractmethod
    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        """What an answer says at each of its positions."""
