"""Requests through a provider's batch interface: half the price, within 24 hours.

The intent of a batch is on disk before it is submitted, its identifier as soon as the provider has taken it. One that
was taken while that answer was lost is looked for at the provider: each is paid once.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_icl.asking.budget import Budget, BudgetError
from llm_icl.asking.cache import Call, CallCache
from llm_icl.asking.channels import OnCalls
from llm_icl.asking.intents import in_flight
from llm_icl.asking.modes import MODES
from llm_icl.asking.sending import Sender
from llm_icl.asking.submissions import Batch, Submission, Submissions
from llm_icl.backends.exchange import Reply, Request, request_from
from llm_icl.backends.hosted.faults import HopelessError, RejectedError, TransientError, clean
from llm_icl.backends.hosted.model import BatchModel, BatchProgress, Failure, UnlistedError
from llm_icl.config.specs import counted
from llm_icl.errors import BudgetSpentError, RequestError, WorkError

log = logging.getLogger(__name__)

# As both providers document.
DISCOUNT = 0.5
# Below both providers' limits for one batch.
_MOST_QUESTIONS = 20_000
_MOST_BYTES = 100_000_000
# Polling interval in seconds, increasing.
_FIRST_LOOK, _LAST_LOOK = 1.0, 60.0
_NO_REPLY = "the provider's batch returned no reply to this request"


class Batches:
    """The batches of one remote model."""

    def __init__(self, sender: Sender, cache: CallCache, account: str, budget: Budget) -> None:
        """Raises RequestError if the provider has no batch interface."""
        self._sender = sender
        if not isinstance(sender.model, BatchModel):
            raise RequestError(f"--batch: {sender.model.entry.name} has no batch interface")
        self._model = sender.model
        self._cache, self._account = cache, account
        self._budget = budget
        self._submissions = Submissions(cache, json.dumps(self._model.identity(), sort_keys=True))

    def submit(self, requests: Mapping[str, Request]) -> None:
        """Submit the requests that are not in a batch yet. Raises WorkError if refused."""
        for submission in self._submissions.under_way()[1]:
            self._look_for(submission)
        while True:
            state = self._submissions.state()
            batches: list[Batch | Submission] = [*self._submissions.under_way()[0], *self._submissions.open()]
            waiting = {key for batch in batches for key in batch.requests} | set(self._cache.get(requests))
            waiting |= in_flight(self._cache)
            missing = {key: request for key, request in requests.items() if key not in waiting}
            parts = _parts({key: self._model.body(request) for key, request in missing.items()})
            if not parts:
                return
            self._submit_part(state, {key: missing[key] for key in parts[0]}, parts[0])

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        """The reply to each request, by key, once its batch has ended; failed requests become error replies."""
        self.submit(requests)
        while any(set(submission.requests) & set(requests) for submission in self._submissions.under_way()[0]):
            on_calls(0, "another process submits a batch")
            time.sleep(_FIRST_LOOK)
        while (set(requests) - set(self._cache.get(requests))) & in_flight(self._cache):
            on_calls(0, "in flight of another process")
            time.sleep(_FIRST_LOOK)
        self.submit(requests)  # what a process that died meanwhile has not, or another one failed to get
        replies: dict[str, Reply] = {}
        for batch in self._submissions.open():
            if set(batch.requests) & set(requests):
                try:
                    replies |= self._collect(batch, on_calls)
                except WorkError as problem:
                    raise WorkError(f"{problem}; to give up batch {batch.id}, re-run without --batch") from None
        replies |= {key: call.reply for key, call in self._cache.get(requests).items()}
        failure = Reply(status="error", message=_NO_REPLY)
        return {key: replies.get(key, failure) for key in requests}

    def ended(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        """The replies to those of the requests that are in a batch which has ended. Raises WorkError if one has not."""
        for submission in self._submissions.under_way()[1]:
            if set(submission.requests) & set(requests):
                self._look_for(submission)
        replies: dict[str, Reply] = {}
        for batch in self._submissions.open():
            if not (shared := set(batch.requests) & set(requests)):
                continue
            try:
                state = self._sender.run(lambda batch=batch: self._model.progress(batch.id))  # type: ignore[misc]
                if state.ended:
                    replies |= self._collect(batch, on_calls)
            except WorkError as problem:
                if isinstance(problem.__cause__, TransientError) and problem.__cause__.kind != "reply":
                    raise  # what is in it is not paid for again because the provider cannot be reached
                log.warning("batch %s, with %d of these requests, is unavailable: %s", batch.id, len(shared), problem)
                continue
            if not state.ended:
                raise WorkError(
                    f"{counted(len(shared), 'request')} of these {'is' if len(shared) == 1 else 'are'} in batch "
                    f"{batch.id}, which has not ended: add --batch to wait for it"
                )
        return {key: replies[key] for key in requests if key in replies and not replies[key].message}

    def _submit_part(
        self, state: tuple[int, ...], requests: Mapping[str, Request], bodies: Mapping[str, dict[str, Any]]
    ) -> None:
        """Submit a batch, unless the state of batches has changed."""
        cost = DISCOUNT * sum(self._model.max_cost(request) for request in requests.values())
        try:
            self._budget.charge(cost, len(requests))
        except BudgetError:
            raise BudgetSpentError(
                f"a batch of {counted(len(requests), 'request')} could exceed the limit of {self._budget}"
            ) from None
        data = {key: request.data() for key, request in requests.items()}
        submission = self._submissions.begin(state, self._account, self._sender.journal.asker, data, cost)
        if submission is None:
            self._budget.charge(-cost, -len(requests))
            return
        known, maybe = self._submissions.known(), False

        async def submit() -> str:
            nonlocal maybe
            if maybe:
                try:
                    found = await self._model.find(submission.mark, set(data), submission.since, known)
                except UnlistedError as reason:
                    raise HopelessError(f"a batch may have been taken although its answer was lost: {reason}") from None
                if found is not None:
                    return found
            try:
                return await self._model.submit(bodies, submission.mark)
            except Exception as problem:
                fault = self._model.fault(problem)
                maybe = isinstance(fault, TransientError)
                raise fault from None

        try:
            batch = self._sender.run(submit)
        except WorkError:
            if maybe:
                self._submissions.abandoned(submission)
            else:
                self._submissions.dropped(submission)
                self._refund(submission, cost, len(data))
            raise
        self._submissions.taken(submission, batch)
        log.info("%s: submitted batch %s with %d requests", self._model.entry.name, batch, len(requests))

    def _look_for(self, submission: Submission) -> None:
        """Find out whether the provider took a batch of a process that died or was not answered."""
        name, keys = self._model.entry.name, set(submission.requests)
        known = self._submissions.known()
        unknown: dict[str, float] = {}
        try:
            batch = self._sender.run(lambda: self._model.find(submission.mark, keys, submission.since, known))
        except UnlistedError as reason:
            log.warning(
                "%s: %s may have been submitted before: %s; they count as if charged, and are submitted again",
                name, counted(len(keys), "request"), reason,
            )  # fmt: skip
            batch, unknown = None, self._greatest(submission.requests)
        if batch is not None:
            self._submissions.taken(submission, batch)
            log.info("%s: found batch %s, submitted before with %d requests", name, batch, len(keys))
            return
        self._submissions.dropped(submission, unknown)
        if not unknown:
            self._refund(submission, submission.cost, len(keys))

    def _collect(self, batch: Batch, on_calls: OnCalls) -> dict[str, Reply]:
        """Wait until a batch has ended, and commit its replies."""
        state = self._wait(batch, on_calls)
        if state.errors:
            log.warning("%s: batch %s: %s", self._model.entry.name, batch.id, clean(state.errors))
        collected = self._sender.run(lambda: self._model.collect(batch.id))
        replies: dict[str, Reply] = {}
        calls, lost = [], dict[str, float]()
        greatest = self._greatest(batch.requests)
        for key, asked in batch.requests.items():
            status, reason = collected.failures.get(key, Failure("error", ""))
            if key in collected.answers:
                try:
                    reply = self._model.reply(request_from(asked), collected.answers[key])
                except TransientError as problem:  # it cannot be read
                    lost[key], reason = greatest[key], str(problem)
                except RejectedError as problem:  # an error where the answer should be, as of a request alone
                    status, reason = problem.status, str(problem)
                except HopelessError as problem:
                    reason = str(problem)
                else:
                    cost = self._sender.cost(reply, greatest[key] / DISCOUNT) * DISCOUNT
                    if fault := MODES[asked["mode"]].fault(reply):
                        lost[key], reason = cost, fault
                    else:
                        replies[key] = reply
                        calls.append(Call(key, asked, reply, cost))
                        continue
            said = f"{_NO_REPLY} ({clean(reason)})" if reason else _NO_REPLY
            replies[key] = Reply(status=status, message=said if status == "error" else clean(reason))
        unread = [key for key in batch.requests if key not in collected.answers and key not in collected.failures]
        # The provider says how many it has answered; lines of its file may be damaged or missing.
        vanished = max(0, min(state.answered - len(collected.answers.keys() & batch.requests.keys()), len(unread)))
        unknown = dict(sorted(((key, greatest[key]) for key in unread), key=lambda item: -item[1])[:vanished])
        if vanished:
            log.warning(
                "%s: %s of batch %s cannot be read: they count as if charged, and are asked again",
                self._model.entry.name, counted(vanished, "answer"), batch.id,
            )  # fmt: skip
        if self._submissions.collected(batch, calls, lost, unknown):
            cost = sum(call.cost for call in calls) + sum(lost.values()) + sum(unknown.values())
            self._refund(batch, batch.cost - cost, len(batch.requests) - len(calls) - len(lost) - len(unknown))
        on_calls(len(calls), f"batch {batch.id} collected")
        return replies

    def _wait(self, batch: Batch, on_calls: OnCalls) -> BatchProgress:
        pause = _FIRST_LOOK
        while not (state := self._sender.run(lambda: self._model.progress(batch.id))).ended:
            on_calls(0, f"batch {batch.id}: {state.done} of {len(batch.requests)} done")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_LOOK)
        return state

    def _greatest(self, requests: Mapping[str, dict[str, Any]]) -> dict[str, float]:
        """The maximum cost of each request in a batch, by key."""
        return {key: DISCOUNT * self._model.max_cost(request_from(asked)) for key, asked in requests.items()}

    def _refund(self, batch: Batch | Submission, cost: float, calls: int) -> None:
        """Give back what a batch did not cost; another run's batch is not part of this budget."""
        if batch.account.split("/")[0] == self._account.split("/")[0]:
            self._budget.charge(-cost, -calls)


@dataclass(frozen=True)
class BesideBatches:
    """Requests one by one, except those in a batch that was submitted earlier."""

    batches: Batches
    sender: Sender

    def send(self, requests: Mapping[str, Request], on_calls: OnCalls) -> dict[str, Reply]:
        replies = self.batches.ended(requests, on_calls)
        missing = {key: request for key, request in requests.items() if key not in replies}
        return replies | self.sender.send(missing, on_calls)


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
