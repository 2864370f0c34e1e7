"""The base class of query modes, and the plans that they make."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from llm_icl.asking.replies import Outcome
from llm_icl.backends.base import LanguageModel, LocalModel, WritingModel
from llm_icl.backends.exchange import Reply, Request
from llm_icl.problems import Problems
from llm_icl.prompting.templates import Prompt

R = TypeVar("R", bound=Request)


@dataclass(frozen=True)
class Planned:
    """One planned call, for problem `problem` at `positions`. `text` is the prompt in readable form."""

    problem: int
    positions: tuple[int, ...]
    text: str
    request: Request


@dataclass(frozen=True)
class Plan:
    """The calls of one cell in one mode; why preferred modes were not possible, and how prompts had to be changed for
    the model. The first `shared` tokens are common to all prompts; `alike` problems in a row have the same examples.
    """

    mode: str
    calls: tuple[Planned, ...]
    too_long: tuple[tuple[int, int], ...] = ()
    shared: int = 0
    reasons: tuple[str, ...] = ()
    alike: int = 1


class Mode(ABC, Generic[R]):
    """One query mode."""

    name: str
    # Whether the answer is generated text: it may contain more than the label, and may differ between calls.
    writes = False

    @abstractmethod
    def plan(
        self, model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], repeats: int
    ) -> Plan:
        """The calls that answer a cell. Raises CannotScoreError, with the reason, if they would not be exact."""

    def min_positions(self, model: LanguageModel) -> int:
        """The minimum number of positions per problem at which this mode pays off."""
        return 1

    def blocks(self, model: WritingModel, plan: Plan) -> Iterable[Sequence[Planned]]:
        """Batches of calls for a local model: as many problems as it takes, those with the same examples together."""
        assert isinstance(model, LocalModel)
        size = -(-model.problems_at_once // plan.alike) * plan.alike
        blocks: dict[int, list[Planned]] = {}
        for call in plan.calls:
            blocks.setdefault(call.problem // size, []).append(call)
        return blocks.values()

    def ask(self, model: WritingModel, requests: Sequence[R], shared: int) -> list[Reply]:
        """The replies of a local model."""
        raise NotImplementedError(f"the mode {self.name} is for models behind an API")

    def fault(self, reply: Reply) -> str:
        """Why nothing in a reply can be used; empty if something can. Such a reply is not kept, and asked for again."""
        return ""

    @abstractmethod
    def read(self, reply: Reply, prompt: Prompt) -> list[Outcome]:
        """The outcome at each position of a reply."""
