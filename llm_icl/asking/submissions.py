"""Batches in the cache: their intents before they are submitted, and their identifiers until they are collected."""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from llm_icl.asking import presence
from llm_icl.asking.cache import INSERT, Call, CallCache, row
from llm_icl.asking.intents import in_flight

_COUNTS = (
    "SELECT (SELECT COUNT(*) FROM submissions), (SELECT COUNT(*) FROM batches), "
    "(SELECT COALESCE(SUM(collected), 0) FROM batches)"
)


@dataclass(frozen=True)
class Batch:
    """A submitted batch: its requests as JSON data, by key, and the maximum that it can cost in US dollars."""

    id: str
    account: str
    requests: dict[str, dict[str, Any]]
    cost: float


@dataclass(frozen=True)
class Submission:
    """The intent of a batch, which carries its `mark`, and the time at which it was written."""

    mark: str
    account: str
    requests: dict[str, dict[str, Any]]
    cost: float
    since: float


class Submissions:
    """The batches of one model, identified by `model`."""

    def __init__(self, cache: CallCache, model: str) -> None:
        self._cache, self._database, self._model = cache, cache.database, model

    def state(self) -> tuple[int, ...]:
        """Numbers that change with every batch."""
        (counts,) = self._database.rows(_COUNTS)
        return tuple(counts)

    def begin(
        self, state: tuple[int, ...], account: str, asker: str, requests: dict[str, dict[str, Any]], cost: float
    ) -> Submission | None:
        """Commit the intent of a batch; None if the state is another one, so that its requests may be in a batch, or if
        another process has one of them in flight.
        """
        submission = Submission(uuid4().hex, account, requests, cost, time.time())
        with self._database.transaction():
            if self.state() != state or in_flight(self._cache) & requests.keys():
                return None
            self._database.change(
                "INSERT INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    submission.mark, account, self._model, json.dumps(requests), len(requests), cost, asker,
                    submission.since,
                ),
            )  # fmt: skip
        return submission

    def under_way(self) -> tuple[list[Submission], list[Submission]]:
        """The intents of living processes, and of dead ones."""
        query = "SELECT mark, account, requests, cost, since, asker FROM submissions WHERE model = ? ORDER BY since"
        living, dead = list[Submission](), list[Submission]()
        for mark, account, requests, cost, since, asker in self._database.rows(query, (self._model,)):
            alive = presence.is_alive(self._database.path, asker)
            (living if alive else dead).append(Submission(mark, account, json.loads(requests), cost, since))
        return living, dead

    def taken(self, submission: Submission, batch: str) -> None:
        """The provider has taken it under an identifier."""
        with self._database.transaction():
            values = (
                batch, submission.account, self._model, json.dumps(submission.requests), len(submission.requests),
                submission.cost, 0,
            )  # fmt: skip
            self._database.change("INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)", values)
            self._database.change("DELETE FROM submissions WHERE mark = ?", (submission.mark,))

    def dropped(self, submission: Submission, unknown: Mapping[str, float] = {}) -> None:
        """It was not taken. `unknown`: by key, what each request may have cost if that is not sure."""
        with self._database.transaction():
            self._leave(submission.account, unknown)
            self._database.change("DELETE FROM submissions WHERE mark = ?", (submission.mark,))

    def abandoned(self, submission: Submission) -> None:
        """Whether it was taken is not known, as if its process had died."""
        with self._database.transaction():
            self._database.change("UPDATE submissions SET asker = '' WHERE mark = ?", (submission.mark,))

    def open(self) -> list[Batch]:
        """The batches that are not collected."""
        query = "SELECT id, account, requests, cost FROM batches WHERE model = ? AND NOT collected ORDER BY rowid"
        rows = self._database.rows(query, (self._model,))
        return [Batch(batch, account, json.loads(requests), cost) for batch, account, requests, cost in rows]

    def known(self) -> set[str]:
        """The identifiers of all batches, also of other models."""
        return {batch for (batch,) in self._database.rows("SELECT id FROM batches")}

    def collected(
        self, batch: Batch, calls: Iterable[Call], lost: Mapping[str, float], unknown: Mapping[str, float]
    ) -> bool:
        """Commit the replies of a batch, the costs of those in which nothing can be used (`lost`) and of requests that
        may have been answered, by key. False if another process was first: then nothing changes.
        """
        kept = list(calls)
        with self._database.transaction():
            if not self._database.change(
                "UPDATE batches SET collected = 1 WHERE id = ? AND NOT collected", (batch.id,)
            ):
                return False
            self._database.change_all(INSERT, [row(call) for call in kept])
            costs = [(call.key, call.cost) for call in kept] + list(lost.items())
            rows = [(batch.account, key, cost) for key, cost in costs]
            self._database.change_all("INSERT INTO spending VALUES (?, ?, ?)", rows)
            self._leave(batch.account, unknown)
        return True

    def _leave(self, account: str, unknown: Mapping[str, float]) -> None:
        rows = [(uuid4().hex, account, key, cost, "") for key, cost in unknown.items()]
        self._database.change_all("INSERT INTO intents VALUES (?, ?, ?, ?, ?)", rows)
