"""What a model is asked and what comes back: typed here, and as JSON data in the cache of calls.

The data of a request are hashed into the key of its call, and both are kept: not a byte of them may change.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from llm_icl.prompting.layout import Curve, LabelPlace


@dataclass(frozen=True, kw_only=True)
class Request(ABC):
    """One question in one mode. `prompt` is a text, or messages; `max_tokens` and `stop` limit what is written, and
    `repeat` counts where the same is asked several times.
    """

    mode: ClassVar[str]
    prompt: Any
    stop: tuple[str, ...] = ()
    max_tokens: int = 1
    repeat: int | None = None

    @property
    def constrained(self) -> bool:
        """Whether a schema holds what is written to labels."""
        return False

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """All that can change the reply, as JSON data."""


@dataclass(frozen=True, kw_only=True)
class CurveRequest(Request):
    """The probabilities of both labels at all positions of one sequence of tokens."""

    mode = "curve"
    curve: Curve

    def data(self) -> dict[str, Any]:
        curve = self.curve
        return {"mode": self.mode, "text": self.prompt, "ends": curve.ends, "zeros": curve.zeros, "ones": curve.ones}


@dataclass(frozen=True, kw_only=True)
class EchoRequest(Request):
    """The likeliest tokens at each of `ends`, in characters of the prompt, where each of `labels` stands after a `gap`
    of so many characters; after the last end there is no label.
    """

    mode = "echo"
    ends: tuple[int, ...]
    gap: int
    labels: tuple[str, ...]

    def data(self) -> dict[str, Any]:
        return {
            "mode": self.mode,
            "prompt": self.prompt,
            "ends": self.ends,
            "gap": self.gap,
            "labels": self.labels,
            "stop": self.stop,
            "max_tokens": self.max_tokens,
        }


@dataclass(frozen=True, kw_only=True)
class PositionsRequest(Request):
    """The probabilities of both labels after one prompt."""

    mode = "positions"
    labels: tuple[str, str]
    place: LabelPlace

    def data(self) -> dict[str, Any]:
        return {"mode": self.mode, "text": self.prompt, "labels": self.labels}


@dataclass(frozen=True, kw_only=True)
class GenerateRequest(Request):
    """What the model writes after one prompt. With `labels` a schema holds it to these; `cuts` are the characters at
    which the prompt is divided for the provider's cache.
    """

    mode = "generate"
    labels: tuple[str, ...] = ()
    cuts: tuple[int, ...] = ()

    @property
    def constrained(self) -> bool:
        return bool(self.labels)

    def data(self) -> dict[str, Any]:
        data = {"mode": self.mode, "prompt": self.prompt, "stop": self.stop, "max_tokens": self.max_tokens}
        if self.constrained:
            data |= {"constrained": True, "labels": self.labels}
        if self.cuts:
            data["divided"] = True
        if self.repeat is not None:
            data["repeat"] = self.repeat
        return data


@dataclass(frozen=True, kw_only=True)
class TopRequest(GenerateRequest):
    """The likeliest next tokens after one prompt, and what the model writes."""

    mode = "top"


_OF_TEXTS = {kind.mode: kind for kind in (EchoRequest, TopRequest, GenerateRequest)}


def request_from(data: Mapping[str, Any]) -> Request:
    """A request of texts from its data, with all that its answer is read with; where it was cut is not known."""
    kind: type[Request] = _OF_TEXTS[data["mode"]]
    fields: dict[str, Any] = {}
    for key in {field.name for field in dataclasses.fields(kind)} & set(data):
        listed = isinstance(data[key], list) and key != "prompt"
        fields[key] = tuple(data[key]) if listed else data[key]
    return kind(**fields)


@dataclass(frozen=True)
class LabelScores:
    """Natural log-probabilities of label 0 and of label 1 at one position, over the whole vocabulary."""

    zero: float
    one: float


@dataclass(frozen=True, init=False)
class Reply:
    """What came back. Its data are the members that it was made with, in their order, also those that this version does
    not know: what is in the cache stays as it is.

    `scores` are the log-probabilities of both labels at each position, `tops` those of the likeliest tokens (None where
    nothing can be read), `text` is what was written without the stop string that ended it, `truncated` where the token
    limit ended it and `constrained` where a schema held it. A `status` other than ok says why there is no answer, and
    `message` what went wrong. `usage` counts tokens, `model` is the provider's name for it, and `dropped` are the
    parameters that it refused.
    """

    scores: Sequence[Sequence[float]] | None = None
    tops: Sequence[Mapping[str, float] | None] | None = None
    text: str | None = None
    truncated: bool = False
    constrained: bool = False
    status: str = ""
    message: str = ""
    usage: Mapping[str, int] | None = None
    model: str = ""
    dropped: Sequence[str] = ()

    def __init__(self, **members: Any) -> None:
        vars(self).update(members)

    @classmethod
    def of_scores(cls, scores: Sequence[LabelScores]) -> "Reply":
        return cls(scores=[[score.zero, score.one] for score in scores])

    def changed(self, **members: Any) -> "Reply":
        """The same reply with other members."""
        return Reply(**self.data() | members)

    def data(self) -> dict[str, Any]:
        """As JSON data."""
        return dict(vars(self))
