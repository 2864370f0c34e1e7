"""Requests and replies: typed here, and JSON data in the cache of calls.

A request's data are hashed into the key of its call, and both are stored: their bytes must not change.
"""

import dataclasses
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from llm_icl.problems import STATUSES
from llm_icl.prompting.layout import Curve, LabelPlace

# The least probability of both labels together for an answer. Below it a model would write something else in 99 of 100
# samples, and a comparison of the labels says nothing about what it does. Small models exceed it without any example
# (SmolLM2 135M and Gemma 3 270M: 0.06 or more, and 0.3 or more after the first); labels at a place where another text
# is due have 1e-5 or less, as has a uniform distribution over a vocabulary.
LEAST_MASS = 0.01


@dataclass(frozen=True, kw_only=True)
class Request(ABC):
    """One request in one mode. `prompt` is a text, or messages; `max_tokens` and `stop` limit the generated text, and
    `repeat` numbers repeated requests.
    """

    mode: ClassVar[str]
    prompt: Any
    stop: tuple[str, ...] = ()
    max_tokens: int = 1
    repeat: int | None = None

    @property
    def constrained(self) -> bool:
        """Whether a schema constrains the generated text to labels."""
        return False

    @abstractmethod
    def data(self) -> dict[str, Any]:
        """Everything that can change the reply, as JSON data."""


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
    """The top tokens at each of `ends`, in characters of the prompt. Each of `labels` follows a `gap` of this many
    characters; there is no label after the last end.
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
    """The generated text after one prompt. With `labels`, a schema constrains it to these; `cuts` are the characters at
    which the prompt is split for the provider's prompt cache.
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
    """The top next tokens after one prompt, and the generated text."""

    mode = "top"


_OF_TEXTS = {kind.mode: kind for kind in (EchoRequest, TopRequest, GenerateRequest)}


def request_from(data: Mapping[str, Any]) -> Request:
    """Restore a generation request from its data, with everything needed to parse its reply, but without `cuts`."""
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
    """A reply. Its data are the members that it was created with, in their order, including unknown ones from other
    versions: cached data stay unchanged.

    `scores` are the log-probabilities of both labels at each position, `tops` those of the top tokens (None if
    unreadable; `absent` says why), `text` is the generated text without its stop string, `truncated` whether the token
    limit ended it, and `constrained` whether a schema was enforced. A `status` other than ok gives the kind of failure,
    `message` its reason. `usage` counts tokens, `model` is the provider's name of the model, and `dropped` are the
    parameters that it rejected.
    """

    scores: Sequence[Sequence[float]] | None = None
    tops: Sequence[Mapping[str, float] | None] | None = None
    absent: str = ""
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

    @classmethod
    def read(cls, text: str) -> "Reply | None":
        """The reply that a text of JSON data holds; None if it cannot be one."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if not isinstance(data, dict):
            return None
        fits = all(_MEMBERS[key](value) for key, value in data.items() if key in _MEMBERS)
        return cls(**data) if fits else None

    def fits(self, mode: str, positions: int) -> bool:
        """Whether it says something of each of a call's positions."""
        needed = {"curve": self.scores, "positions": self.scores, "echo": self.tops}.get(mode, ())
        said = [part for part in (self.scores, self.tops) if part is not None]
        return bool(self.status) or (needed is not None and all(len(part) == positions for part in said))

    def changed(self, **members: Any) -> "Reply":
        """The same reply with other members."""
        return Reply(**self.data() | members)

    def data(self) -> dict[str, Any]:
        """As JSON data."""
        return dict(vars(self))


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _is_top(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(_is_number, value.values())))


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))


def _is_list(of: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or (isinstance(value, list) and all(map(of, value)))


def _is_usage(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and all(map(_is_number, value.values())))


# What the members of a reply can be.
_MEMBERS: dict[str, Callable[[Any], bool]] = {
    "scores": _is_list(_is_pair),
    "tops": _is_list(_is_top),
    "absent": lambda value: isinstance(value, str),
    "text": lambda value: value is None or isinstance(value, str),
    "truncated": lambda value: isinstance(value, bool),
    "constrained": lambda value: isinstance(value, bool),
    "status": lambda value: value in STATUSES or value == "",
    "message": lambda value: isinstance(value, str),
    "usage": _is_usage,
    "model": lambda value: isinstance(value, str),
}
