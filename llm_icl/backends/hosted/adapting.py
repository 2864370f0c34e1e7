"""Requests in the form that a server takes: parameters that it refuses are left out, renamed or brought within its
bounds, once for all requests, and recorded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llm_icl.backends.hosted.reasons import Reason

_REFUSED = (400, 404, 422, 501)
_REFUSES = re.compile(
    r"unsupported|(not|n't) (be |currently )?(support|enabled|permitted|allowed|available|implemented|accept)|no longer"
    r"|unknown|unrecogni[sz]ed|deprecated|unexpected|extra[_ ](forbidden|fields|inputs)|invalid parameter"
    r"|must be strictly positive|cannot be used",
    re.I,
)
_NEEDED = ("model", "messages", "system", "input", "prompt")
_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")
# The names of the limit of the reply in each interface.
_OTHER_NAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
# Parameters that depend on each other.
_TOGETHER = {"logprobs": ("top_logprobs",), "top_logprobs": ("logprobs",)}
_TOP_TOKENS = re.compile(r"log_?prob|top_n_tokens", re.I)
_AT_MOST = re.compile(
    r"(?:<=?|\bmax\w*|at most|up to|less than or equal to|between 0 and|less than|\[0, ?)[a-z :]*(\d{1,8})\b", re.I
)
_AT_LEAST = re.compile(
    r"(?:>=|at least|greater than or equal to|\bmin\w*(?: value)?(?: is| of)?:?|between|\[)[a-z :]*(\d{1,8})\b", re.I
)
# A server's least limit of a reply; a larger one would not be a least one.
_MOST_LEAST = 256


@dataclass
class Adaptations:
    """What was found out of a server's parameters."""

    dropped: set[str] = field(default_factory=set)
    lowered: dict[str, int] = field(default_factory=dict)
    raised: dict[str, int] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def applied(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body of a request in the form that the server takes."""
        sent = {self.renamed.get(key, key): value for key, value in body.items() if key not in self.dropped}
        for key, most in self.lowered.items():
            if key in sent:
                sent[key] = min(int(sent[key]), most)
        for key, least in self.raised.items():
            if key in sent:
                sent[key] = max(int(sent[key]), least)
        return sent

    def learn(self, reason: Reason, status: int, sent: Mapping[str, Any]) -> bool:
        """Adapt to a refusal of the request that was sent; False if there is nothing to adapt."""
        if status not in _REFUSED:
            return False
        if lower := most_allowed(reason, sent):
            self.lowered[lower[0]] = lower[1]
        elif least := least_allowed(reason, sent):
            self.raised[least[0]] = least[1]
        elif (names := other_name(reason, sent)) and names[1] not in self.renamed:
            self.renamed[names[0]] = names[1]
        elif parameter := refused_parameter(reason, sent):
            self.dropped |= {parameter, *_TOGETHER.get(parameter, ())}
        else:
            return False
        return True

    def record(self) -> dict[str, Any]:
        """What was changed, as JSON data."""
        changed: dict[str, Any] = {"lowered": self.lowered, "raised": self.raised, "renamed": self.renamed}
        return {"dropped": sorted(self.dropped)} | {key: dict(value) for key, value in changed.items() if value}


def refused_parameter(reason: Reason, body: Mapping[str, Any]) -> str | None:
    """The parameter of `body` that a server does not take and that can be left out; None for other reasons."""
    optional = [key for key in body if key not in (*_NEEDED, *_LIMITS)]
    named = _refused(reason, body)
    return named if named in optional else None


def other_name(reason: Reason, body: Mapping[str, Any]) -> tuple[str, str] | None:
    """The name of the limit of the reply that a server refuses, and the one that it takes."""
    named = _refused(reason, body)
    other = _OTHER_NAME.get(named or "")
    # Only the interface of chats has both names.
    return (str(named), other) if other and "messages" in body else None


def most_allowed(reason: Reason, body: Mapping[str, Any]) -> tuple[str, int] | None:
    """The parameter with the number of top tokens, and the most that a server allows of it; None for other reasons."""
    name = "top_logprobs" if "top_logprobs" in body else "logprobs"
    said = f"{' '.join(reason.parameters)} {reason.words}"
    if name not in body or not _TOP_TOKENS.search(said):
        return None
    allowed = [int(most) for most in _AT_MOST.findall(said) if 0 < int(most) < int(body[name] or 0)]
    return (name, max(allowed)) if allowed else None


def least_allowed(reason: Reason, body: Mapping[str, Any]) -> tuple[str, int] | None:
    """The limit of the reply's tokens, and the least that a server allows of it; None for other reasons."""
    name = next((key for key in _LIMITS if key in body), "")
    said = f"{' '.join(reason.parameters)} {reason.words}"
    if not name or not any(limit in said for limit in _LIMITS):
        return None
    found = [int(least) for least in _AT_LEAST.findall(said)]
    if more := re.search(r"greater than (\d{1,8})\b", said):
        found.append(int(more[1]) + 1)
    allowed = [least for least in found if int(body[name]) < least <= _MOST_LEAST]
    return (name, min(allowed)) if allowed else None


def _refused(reason: Reason, body: Mapping[str, Any]) -> str | None:
    """The parameter of `body` that a server says it does not take; None if it says something else."""
    if not _REFUSES.search(f"{reason.words} {reason.kinds}"):
        return None
    named = next((name for name in reason.parameters if name in body), None)
    if named is not None:
        return named
    # The one that is named first: a hint at another one comes later.
    keys = [key for key in body if key not in _NEEDED]
    places = [(found.start(), -len(key), key) for key in keys if (found := _named(key, reason.words))]
    return min(places)[2] if places else None


def _named(key: str, words: str) -> re.Match[str] | None:
    """Where a parameter is named; Gemini writes "Logprobs"."""
    return re.search(rf"\b{re.escape(key)}\b", words, re.I)
