"""Channels make the calls that are not in the cache; here: to a model in this process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from llm_icl.asking.cache import Call, CallCache
from llm_icl.asking.modes import MODES
from llm_icl.asking.modes.base import Plan, Planned
from llm_icl.backends.base import WritingModel
from llm_icl.backends.exchange import Reply, Request
from llm_icl.errors import WorkError

# What code of models raises where it cannot compute something: a sequence that is longer than its tables, no memory, …
_RAISED = (RuntimeError, IndexError, ValueError, AssertionError)
_LINE = 300  # characters of an error's text, at most

# Called with the number of calls answered since the last time, and a status text.
OnCalls = Callable[[int, str], None]


class Channel(Protocol):
    """A connection to a model: in this process, over HTTP or through a provider's batch interface."""

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        """The reply to each request, by key; a failure is a reply with a status and a message."""


@dataclass(frozen=True)
class SilentChannel:
    """In place of a model that cannot be asked any further: all calls fail for the same reason."""

    reason: str

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        return {key: Reply(status="error", message=self.reason) for key in requests}


@dataclass(frozen=True)
class LocalChannel:
    """Calls to a model in this process, in blocks that are committed as they finish. An error of the model raises
    WorkError, with its name.
    """

    name: str
    model: WritingModel
    plan: Plan
    cache: CallCache

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        keys = {id(request): key for key, request in requests.items()}
        replies: dict[str, Reply] = {}
        mode = MODES[self.plan.mode]
        for block in mode.blocks(self.model, self.plan):
            missing = [call for call in block if id(call.request) in keys]
            if not missing:
                continue
            # Blocks are the same in every run: batch composition affects numerics.
            answered = zip(block, self._ask(block), strict=True)
            done = {keys[id(call.request)]: (call, reply) for call, reply in answered if id(call.request) in keys}
            good = {key: answer for key, answer in done.items() if not mode.fault(answer[1])}
            self.cache.put(Call(key, call.request.data(), reply) for key, (call, reply) in good.items())
            replies |= {key: reply for key, (_, reply) in done.items()}
            on_calls(len(missing), "")
        return replies

    def _ask(self, block: Sequence[Planned]) -> list[Reply]:
        try:
            return MODES[self.plan.mode].ask(self.model, [call.request for call in block], self.plan.shared)
        except _RAISED as problem:
            text = " ".join(str(problem).split())
            raise WorkError(f"{self.name}: {type(problem).__name__}: {text}"[:_LINE]) from problem
