"""What a language model can be asked."""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_icl.backends.exchange import LabelScores, Reply
from llm_icl.config.registry import Registry
from llm_icl.config.specs import Value
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import Curve, LabelPlace
from llm_icl.prompting.rendering import Rendered

_USUAL = ("temperature", "logprobs", "stop", "schema")


@dataclass(frozen=True)
class ModelEntry:
    """One model: who runs it, under which identifier, and what is known of it.

    `context` counts tokens, `memory` is GB for the weights in 16 bits, `price` US dollars per million tokens as of the
    date `priced`. `accepts` names the parameters that the provider takes, perhaps by reasoning effort; of a model that
    nothing is known of it is None, and then the usual ones are tried. `reasoning` is
    how many tokens a reply may spend before its answer. `thinking` and `effort` are sent as they are. `key` names the
    environment variable that holds the key. `fingerprint` is that of local files.
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
        """What says which model it is and how it is asked; prices and descriptions may change without a new run."""
        told = ("description", "memory", "price", "priced", "key")
        return {key: value for key, value in dataclasses.asdict(self).items() if key not in told}

    def accepted(self, effort: str) -> Sequence[str]:
        """The parameters that the provider takes at this reasoning effort."""
        if self.accepts is None:
            return (*_USUAL, "effort") if effort else _USUAL
        if isinstance(self.accepts, Mapping):
            return self.accepts.get(effort or "default", self.accepts.get("default", ()))
        return self.accepts


class LanguageModel(ABC):
    """A model that answers prompts. `modes` are the names of those that it can be asked in, best first."""

    modes: tuple[str, ...]
    # Whether it answers in this process, whether its calls cost money, and whether its attention and gradients can be
    # had: then `source` says where transformers finds its weights, and `attention` is there.
    local: bool = False
    priced: bool = False
    exposes_weights: bool = False
    # The backend that asks the same model at a server, where there is one: `--base-url`.
    served_by: str = ""
    # From how many positions of one problem on a whole curve costs less than its positions one by one.
    least_curve: int = 1
    # Whether the same prompt may be answered differently when it is asked again.
    samples: bool = False
    # Whether written labels are held to a schema, and whether prompts are divided where they part, for the provider's
    # cache of what they begin with.
    constrains: bool = False
    shares_prefixes: bool = False

    @abstractmethod
    def __init__(self, entry: ModelEntry) -> None:
        """Load the model. Raises RequestError where there is no such model or it cannot be read."""

    @classmethod  # noqa: B027
    def check(cls, entry: ModelEntry) -> None:
        """Raise RequestError for what can be known to be wrong before anything is loaded or sent."""

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> "LanguageModel":
        """The model, ready to be asked; what it logs goes into the folder `logs`. Raises RequestError as above."""
        return cls(entry)

    @classmethod
    def source(cls, entry: ModelEntry) -> tuple[str, dict[str, Any]]:
        """What `from_pretrained` of transformers is called with to have the weights. Raises RequestError where they are
        unavailable.
        """
        raise RequestError(f"'{entry.name}' does not run in this process: its weights are unavailable")

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Everything about the model that can change an answer; part of the key of every cached call."""

    @abstractmethod
    def wire(self, rendered: Rendered) -> Any:
        """A prompt as the model gets it: a text, or messages."""

    def found(self) -> dict[str, Any]:
        """What was learned of the model while it worked, for the record of the run."""
        return {}

    def close(self) -> None:  # noqa: B027
        """Give back what the model holds."""


class TokenModel(LanguageModel):
    """A model whose tokenizer can be asked. Tokens are whole numbers of its own."""

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

    def wire(self, rendered: Rendered) -> Any:
        return self.as_text(rendered)


class LocalModel(TokenModel):
    """A model in this process."""

    modes = ("curve", "positions", "generate")
    local = True
    # How many problems are scored, and how many texts continued, and kept, together.
    problems_at_once: int = 1
    texts_at_once: int = 1

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

    def attention(self, tokens: Sequence[int]) -> dict[int, Any]:
        """The attention weights [h, T, T] of every layer over one sequence, float32 tensors on the CPU; a model with
        `exposes_weights` has them.
        """
        raise NotImplementedError


backends: Registry[type[LanguageModel]] = Registry("backend", "llm_icl.backends")


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
