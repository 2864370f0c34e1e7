"""Requests through a provider's batch interface: half the price, within 24 hours.

A batch's identifier is saved as soon as it is submitted. A resumed run waits for the same batch and pays only once.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from llm_icl.asking.budget import Budget, BudgetError
from llm_icl.asking.cache import Call, CallCache
from llm_icl.asking.channels import OnCalls
from llm_icl.asking.modes import MODES
from llm_icl.asking.sending import Sender
from llm_icl.backends.exchange import Reply, Request, request_from
from llm_icl.backends.hosted.faults import TransientError, clean
from llm_icl.backends.hosted.model import BatchModel
from llm_icl.config.specs import counted
from llm_icl.errors import BudgetSpentError, RequestError

log = logging.getLogger(__name__)

# As both providers document.
DISCOUNT = 0.5
# Below both providers' limits for one batch.
_MOST_QUESTIONS = 20_000
_MOST_BYTES = 100_000_000
# Polling interval in seconds, increasing.
_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0


class Batches:
    """The batches of one remote model."""

    def __init__(self, sender: Sender, cache: CallCache, account: str, budget: Budget) -> None:
        """Raises RequestError if the provider has no batch interface."""
        self._sender = sender
        if not isinstance(sender.model, BatchModel):
            raise RequestError(f"--batch: {sender.model.entry.name} has no batch interface")
        self._model = sender.model
        self._cache = cache
        self._account = account
        self._budget = budget
        self._identity = json.dumps(self._model.identity(), sort_keys=True)

    def submit(self, requests: Mapping[str, Request]) -> None:
        """Submit the requests that are not in a batch yet. Raises WorkError if refused."""
        waiting = {key for requests, _ in self._cache.open_batches(self._identity).values() for key in requests}
        missing = {key: request for key, request in requests.items() if key not in waiting}
        for part in _parts({key: self._model.body(request) for key, request in missing.items()}):
            self._submit_part({key: missing[key] for key in part}, part)

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        """The reply to each request, by key, once its batch has ended; failed requests become error replies."""
        self.submit(requests)
        replies: dict[str, Reply] = {}
        for batch, (asked, held) in self._cache.open_batches(self._identity).items():
            if set(asked) & set(requests):
                replies |= self._collect(batch, asked, held, on_calls)
        failure = Reply(status="error", message="the provider's batch returned no reply to this request")
        return {key: replies.get(key, failure) for key in requests}

    def _submit_part(self, requests: Mapping[str, Request], bodies: Mapping[str, dict[str, Any]]) -> None:
        cost = DISCOUNT * sum(self._model.max_cost(request) for request in requests.values())
        try:
            self._budget.charge(cost, len(requests))
        except BudgetError:
            raise BudgetSpentError(
                f"a batch of {counted(len(requests), 'request')} could exceed the limit of {self._budget}"
            ) from None
        batch = self._sender.run(lambda: self._model.submit(bodies))
        data = {key: request.data() for key, request in requests.items()}
        self._cache.put_batch(batch, self._account, self._identity, data, cost)
        log.info("%s: submitted batch %s with %d requests", self._model.entry.name, batch, len(requests))

    def _collect(
        self, batch: str, asked: Mapping[str, dict[str, Any]], held: float, on_calls: OnCalls
    ) -> dict[str, Reply]:
        """Wait until a batch has ended, and commit its replies."""
        pause = _FIRST_LOOK
        while not (state := self._sender.run(lambda: self._model.progress(batch))).ended:
            on_calls(0, f"batch {batch}: {state.done} of {len(asked)} done")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)
        if state.errors:
            log.warning("%s: batch %s: %s", self._model.entry.name, batch, clean(state.errors))
        calls, lost = [], 0.0
        for key, text in self._sender.run(lambda: self._model.collect(batch)).items():
            try:
                reply = self._model.reply(request_from(asked[key]), text)
            except TransientError:  # an invalid reply counts as no reply
                continue
            cost = DISCOUNT * self._model.cost(reply.usage or {})
            if MODES[asked[key]["mode"]].fault(reply):  # as does one in which nothing can be used
                self._cache.put_lost(key, cost, self._account)
                lost += cost
                continue
            calls.append(Call(key, asked[key], reply, cost))
        self._cache.put(calls, self._account, closed=batch)
        self._budget.charge(sum(call.cost for call in calls) + lost - held, len(calls) - len(asked))
        on_calls(len(calls), f"batch {batch} collected")
        return {call.key: call.reply for call in calls}


def _parts(bodies: Mapping[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Split requests into batches within the providers' limits."""
    parts: list[dict[str, dict[str, Any]]] = []
    size = _MOST_BYTES
    for key, body in bodies.items():
        length = len(json.dumps(body))
        if size + length > _MOST_BYTES or len(parts[-1]) >= _MOST_QUESTIONS:
            parts.append({})
            size = 0
        parts[-1][key] = body
        size += length
    return parts
