"""The interfaces of language models."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from llm_icl.backends.chat import ChatFormat
from llm_icl.backends.exchange import LabelScores, Reply
from llm_icl.config.registry import Registry
from llm_icl.config.specs import Value
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import Curve, LabelPlace
from llm_icl.prompting.rendering import Rendered

_USUAL = ("temperature", "logprobs", "stop", "schema")


@dataclass(frozen=True)
class ModelEntry:
    """One model: its backend, its identifier, and its properties.

    `context` counts tokens, `memory` is GB for the weights in 16 bits, `price` US dollars per million tokens as of the
    date `priced`. `accepts` names the parameters that the provider takes, perhaps by reasoning effort; for an
    unknown model it is None, and the usual ones are sent. `reasoning` is the maximum number of
    reasoning tokens before the answer. `thinking` and `effort` are sent unchanged. `key` names the
    environment variable with the API key. `fingerprint` identifies local files.
    """

    name: str
    backend: str
    identifier: str
    description: str = ""
    context: int = 0
    memory: float = 0.0
    chat: bool = False
    accepts: Sequence[str] | Mapping[str, Sequence[str]] | None = None
    effort: str = ""
    thinking: str = ""
    reasoning: int = 0
    price: Mapping[str, float] = field(default_factory=dict)
    priced: str = ""
    weights: Mapping[str, Any] = field(default_factory=dict)
    base_url: str = ""
    key: str = ""
    fingerprint: str = ""
    options: tuple[tuple[str, Value], ...] = ()

    def record(self) -> dict[str, Any]:
        """The identity of the model and how it is called; prices and descriptions may change without a new run."""
        not_identity = ("description", "memory", "price", "priced", "key")
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in not_identity}

    def accepted(self, effort: str) -> Sequence[str]:
        """The parameters that the provider takes at this reasoning effort."""
        if self.accepts is None:
            return (*_USUAL, "effort") if effort else _USUAL
        if isinstance(self.accepts, Mapping):
            return self.accepts.get(effort or "default", self.accepts.get("default", ()))
        return self.accepts


class LanguageModel(ABC):
    """A model that answers prompts. `modes` are the supported query modes, in order of preference; `unavailable` says
    why others are not among them, where that was found out from a server.
    """

    modes: tuple[str, ...]
    unavailable: Mapping[str, str] = MappingProxyType({})
    # Whether it runs in this process, whether its calls cost money, and whether its attention and gradients are
    # available: if so, `source` locates its weights for transformers, and `attention` is implemented.
    local: bool = False
    priced: bool = False
    exposes_weights: bool = False
    # The backend for the same model on a server (`--base-url`), if any.
    served_by: str = ""
    # The number of positions per problem from which a whole curve is cheaper than separate prompts.
    least_curve: int = 1
    # Whether replies to the same prompt may differ between calls.
    samples: bool = False
    # Whether generated labels are constrained by a schema, and whether prompts are split at shared prefixes for the
    # provider's prompt cache.
    constrains: bool = False
    shares_prefixes: bool = False

    @abstractmethod
    def __init__(self, entry: ModelEntry) -> None:
        """Load the model. Raises RequestError if it does not exist or cannot be read."""

    @classmethod  # noqa: B027
    def check(cls, entry: ModelEntry) -> None:
        """Raise RequestError for errors that are detectable before anything is loaded or sent."""

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> "LanguageModel":
        """The loaded model; its logs go into the folder `logs`. Raises RequestError as above."""
        return cls(entry)

    @classmethod
    def place(cls, entry: ModelEntry) -> str:
        """Where requests go, if the environment says so; part of the identity of a run."""
        return ""

    @classmethod
    def here(cls) -> str:
        """What this machine has for the backend's models, and what is missing; nothing is loaded or sent."""
        return ""

    @classmethod
    def source(cls, entry: ModelEntry) -> tuple[str, dict[str, Any]]:
        """The arguments of `from_pretrained` of transformers that load the weights. Raises RequestError if they are
        unavailable.
        """
        raise RequestError(f"'{entry.name}' does not run in this process: choose a local model")

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything about the model that can change an answer; part of the key of every cached call."""

    @abstractmethod
    def wire(self, rendered: Rendered) -> Any:
        """The prompt as it is sent to the model: a text, or messages."""

    def remarks(self, rendered: Rendered) -> tuple[str, ...]:
        """How a prompt had to be changed for the model, and what of the model is not relied on: for the record of how
        it was asked.
        """
        return ()

    def found(self) -> dict[str, Any]:
        """Properties of the model that were found during the run, for its record."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Release the model's resources."""


class TokenModel(LanguageModel):
    """A model with an accessible tokenizer. Tokens are token ids."""

    # Whether prompts without turns are written in the chat format too.
    chats: bool = False

    @property
    def turning_length(self) -> int | None:
        """The number of tokens above which a prompt's positions are encoded differently from the first token on, so
        that it does not continue a shorter one; None if there is none.
        """
        return None

    @property
    @abstractmethod
    def context_length(self) -> int:
        """The maximum number of tokens of a prompt with its answer."""

    @property
    @abstractmethod
    def chat_format(self) -> ChatFormat:
        """The model's chat format. Raises RequestError if it has none."""

    @abstractmethod
    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of whole prompts, with one beginning-of-sequence token if the model has one, and nothing after the
        text. Raises RequestError for a text that the model has no tokens for.
        """

    def as_text(self, rendered: Rendered) -> str:
        """The text of a prompt, in the model's chat format if the prompt has turns. Raises RequestError if the format
        cannot write it.
        """
        return self.chat_format.text(rendered.messages()) if self._in_chat(rendered) else rendered.completion()

    def answered(self, rendered: Rendered, label: str) -> list[str]:
        """The texts of a prompt with its answer: known of a chat format, whose answers are turns."""
        return self.chat_format.answered(rendered.messages(), label) if self._in_chat(rendered) else []

    def remarks(self, rendered: Rendered) -> tuple[str, ...]:
        return self.chat_format.remarks(rendered.messages()) if self._in_chat(rendered) else ()

    def wire(self, rendered: Rendered) -> Any:
        return self.as_text(rendered)

    def _in_chat(self, rendered: Rendered) -> bool:
        return self.chats or rendered.has_turns


class WritingModel(LanguageModel):
    """A model in this process that writes texts, if it does nothing else."""

    local = True
    # The number of texts generated per committed block.
    texts_at_once: int = 1

    @abstractmethod
    def generate(self, texts: Sequence[Any], max_tokens: int, stop: Sequence[str]) -> list[Reply]:
        """Greedy decoding up to a stop string or the token limit."""


class LocalModel(WritingModel, TokenModel):
    """A model in this process that gives probabilities."""

    modes = ("curve", "positions", "generate")
    # The number of problems scored per committed block.
    problems_at_once: int = 1

    @abstractmethod
    def score_curves(self, curves: Sequence[Curve], shared: int) -> list[list[LabelScores]]:
        """The label scores at every position of each curve, one forward pass per curve.

        The first `shared` tokens are common to all prompts of the task.
        """

    @abstractmethod
    def score_positions(self, places: Sequence[LabelPlace]) -> list[LabelScores]:
        """The label scores after each context, the labels being one token or several."""

    def attention(self, tokens: Sequence[int]) -> dict[int, Any]:
        """The attention weights (H, T, T) of every layer over one sequence, float32 tensors on the CPU; implemented by
        models with `exposes_weights`.
        """
        raise NotImplementedError(f"{type(self).__name__} does not expose attention weights")


backends: Registry[type[LanguageModel]] = Registry("backend", "llm_icl.backends")


def record_of(entry: ModelEntry) -> dict[str, Any]:
    """The identity of a model and how it is called, with the place that the environment names."""
    place = backends.get(entry.backend).place(entry)
    return entry.record() | ({"place": place} if place else {})


def backend_with_weights(entry: ModelEntry) -> type[LanguageModel]:
    """The backend of a model whose attention and gradients can be had. Raises RequestError where they cannot."""
    backend = backends.get(entry.backend)
    if not backend.exposes_weights:
        open_ones = ", ".join(name for name, other in backends.items() if other.exposes_weights)
        raise RequestError(
            f"'{entry.name}': the backend '{entry.backend}' gives no access to attention and gradients; "
            f"these do: {open_ones}"
        )
    return backend
