"""What a language model can be asked."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_icl.backends.catalogue import ModelEntry
from llm_icl.prompting.layout import Curve, LabelPlace
from llm_icl.prompting.rendering import Rendered
from llm_icl.registry import Registry

# How the labels of a problem are asked for, best first.
MODES = ("curve", "positions", "generate")


@dataclass(frozen=True)
class LabelScores:
    """Natural log-probabilities of label 0 and of label 1 at one position, over the whole vocabulary."""

    zero: float
    one: float


@dataclass(frozen=True)
class Reply:
    """What a model wrote, without the stop string that ended it; `truncated` where the token limit ended it."""

    text: str
    truncated: bool


class LanguageModel(ABC):
    """A model that answers prompts. Tokens are whole numbers of its own tokenizer."""

    @abstractmethod
    def __init__(self, entry: ModelEntry) -> None:
        """Load the model. Raises RequestError where there is no such model or it cannot be read."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything about the model that can change an answer; part of the key of every cached call."""

    @property
    @abstractmethod
    def context_length(self) -> int:
        """The greatest number of tokens of a prompt with its answer."""

    @abstractmethod
    def as_text(self, rendered: Rendered) -> str:
        """The text of a prompt, in the model's own chat format where it is asked in turns."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of whole prompts, with what the model expects at their beginning."""

    @abstractmethod
    def score_curves(self, curves: Sequence[Curve], shared: int) -> list[list[LabelScores]]:
        """The label scores at every position of each curve, one forward pass a curve.

        The first `shared` tokens are common to all prompts of the task.
        """

    @abstractmethod
    def score_positions(self, places: Sequence[LabelPlace]) -> list[LabelScores]:
        """The label scores after each context, the labels being one token or several."""

    @abstractmethod
    def generate(self, texts: Sequence[str], max_tokens: int, stop: Sequence[str]) -> list[Reply]:
        """The likeliest continuation, token by token, up to a stop string or the token limit."""

    @property
    @abstractmethod
    def curves_at_once(self) -> int:
        """How many curves of usual length are scored, and kept, together."""


backends: Registry[type[LanguageModel]] = Registry("backend", "llm_icl.backends")
