"""Questions handed to a provider's batch interface: half the price, within a day.

A batch's identifier is on disk before anything else is done, so that a run that dies goes on waiting and pays once.
"""

import json
import logging
import time
from collections.abc import Mapping
from typing import Any

from llm_icl.asking.budget import Budget, BudgetError
from llm_icl.asking.cache import Call, CallCache
from llm_icl.asking.channels import OnCalls
from llm_icl.asking.sending import Sender
from llm_icl.backends.exchange import Reply, Request, request_from
from llm_icl.backends.hosted.faults import TransientError, clean
from llm_icl.backends.hosted.model import BatchModel
from llm_icl.config.specs import counted
from llm_icl.errors import BudgetSpentError, RequestError

log = logging.getLogger(__name__)

# Both providers say so.
DISCOUNT = 0.5
# Both providers take more in one batch.
_MOST_QUESTIONS = 20_000
_MOST_BYTES = 100_000_000
# Seconds between two looks at a batch, growing.
_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0


class Batches:
    """The batches of one remote model."""

    def __init__(self, sender: Sender, cache: CallCache, account: str, budget: Budget) -> None:
        """Raises RequestError where the provider has no batch interface."""
        self._sender = sender
        if not isinstance(sender.model, BatchModel):
            raise RequestError(f"--batch: {sender.model.entry.name} has no batch interface")
        self._model = sender.model
        self._cache = cache
        self._account = account
        self._budget = budget
        self._identity = json.dumps(self._model.identity(), sort_keys=True)

    def submit(self, requests: Mapping[str, Request]) -> None:
        """Hand over what is not in a batch yet. Raises WorkError where the budget or the provider does not allow it."""
        waiting = {key for requests, _ in self._cache.open_batches(self._identity).values() for key in requests}
        missing = {key: request for key, request in requests.items() if key not in waiting}
        for part in _parts({key: self._model.body(request) for key, request in missing.items()}):
            self._submit_part({key: missing[key] for key in part}, part)

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        """The reply to each question, by key, when its batch has ended; what it failed to answer is an error."""
        self.submit(requests)
        replies: dict[str, Reply] = {}
        for batch, (asked, held) in self._cache.open_batches(self._identity).items():
            if set(asked) & set(requests):
                replies |= self._collect(batch, asked, held, on_calls)
        failure = Reply(status="error", message="the provider's batch has no answer to this question")
        return {key: replies.get(key, failure) for key in requests}

    def _submit_part(self, requests: Mapping[str, Request], bodies: Mapping[str, dict[str, Any]]) -> None:
        cost = DISCOUNT * sum(self._model.greatest_cost(request) for request in requests.values())
        try:
            self._budget.charge(cost, len(requests))
        except BudgetError:
            raise BudgetSpentError(
                f"a batch of {counted(len(requests), 'question')} may pass the limit of {self._budget}"
            ) from None
        batch = self._sender.run(lambda: self._model.submit(bodies))
        data = {key: request.data() for key, request in requests.items()}
        self._cache.put_batch(batch, self._account, self._identity, data, cost)
        log.info("%s: batch %s with %d questions is submitted", self._model.entry.name, batch, len(requests))

    def _collect(
        self, batch: str, asked: Mapping[str, dict[str, Any]], held: float, on_calls: OnCalls
    ) -> dict[str, Reply]:
        """Wait for the end of a batch, and commit what it answered."""
        pause = _FIRST_LOOK
        while not (state := self._sender.run(lambda: self._model.progress(batch))).ended:
            on_calls(0, f"batch {batch}: {state.done} of {len(asked)} done")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)
        if state.errors:
            log.warning("%s: batch %s: %s", self._model.entry.name, batch, clean(state.errors))
        calls = []
        for key, text in self._sender.run(lambda: self._model.collect(batch)).items():
            try:
                reply = self._model.reply(request_from(asked[key]), text)
            except TransientError:  # it makes no sense, which is no answer
                continue
            calls.append(Call(key, asked[key], reply, DISCOUNT * self._model.cost(reply.usage or {})))
        self._cache.put(calls, self._account, closed=batch)
        self._budget.charge(sum(call.cost for call in calls) - held, len(calls) - len(asked))
        on_calls(len(calls), f"batch {batch} is collected")
        return {call.key: call.reply for call in calls}


def _parts(bodies: Mapping[str, dict[str, Any]]) -> list[dict[str, dict[str, Any]]]:
    """Parts that a provider takes in one batch."""
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
