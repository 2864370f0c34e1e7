"""Intents: each request is on disk before it is sent, and with it the most that it can cost.

Limits therefore hold over any death, and what was in flight then is known. An intent ends with what became of its
request; one whose outcome will never be known stays, and counts as if it had been charged.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from llm_icl.asking import presence
from llm_icl.asking.cache import INSERT, Call, CallCache, row
from llm_icl.backends.exchange import Reply


@dataclass(frozen=True)
class Intent:
    """A request that is about to be sent, and the maximum that it can cost in US dollars."""

    key: str
    cost: float
    id: str = field(default_factory=lambda: uuid4().hex)


@dataclass(frozen=True)
class Ending:
    """What became of a request: its `cost`, None if it was not charged, and its call if the reply is kept. Of an
    `unknown` ending it is only known that no reply came.
    """

    intent: Intent
    cost: float | None = None
    call: Call | None = None
    unknown: bool = False


class Intents:
    """The intents of one process, with the calls and the spending of an account that they become."""

    def __init__(self, cache: CallCache, account: str) -> None:
        self._cache, self._database, self._account = cache, cache.database, account
        self._presence = presence.Presence(self._database.path)
        bury(cache)
        # The last batch that was there before, and the requests of those that are begun since.
        ((self._last,),) = self._database.rows("SELECT COALESCE(MAX(rowid), 0) FROM batches")
        self._batches: dict[str, frozenset[str]] = {}

    @property
    def asker(self) -> str:
        return self._presence.name

    def record(self, ended: Sequence[Ending], intents: Sequence[Intent]) -> dict[str, Reply | None]:
        """Commit what became of requests, and the intents of the next ones, in one transaction.

        Returns the intents, by id, whose requests are not to be sent: with the reply if there is one by now, None while
        another living process has the same in flight, or in a batch that was begun since this process was. (Who sends
        has looked at earlier ones.)
        """
        database = self._database
        with database.transaction():
            database.change_all(
                "DELETE FROM intents WHERE id = ?", [(end.intent.id,) for end in ended if not end.unknown]
            )
            database.change_all(
                "UPDATE intents SET asker = '' WHERE id = ?", [(end.intent.id,) for end in ended if end.unknown]
            )
            costs = [(self._account, end.intent.key, end.cost) for end in ended if end.cost is not None]
            database.change_all("INSERT INTO spending VALUES (?, ?, ?)", costs)
            database.change_all(INSERT, [row(end.call) for end in ended if end.call is not None])
            withheld = self._withheld(intents) if intents else {}
            rows = [(one.id, self._account, one.key, one.cost, self.asker) for one in intents if one.id not in withheld]
            database.change_all("INSERT INTO intents VALUES (?, ?, ?, ?, ?)", rows)
        return withheld

    def _withheld(self, intents: Sequence[Intent]) -> dict[str, Reply | None]:
        keys = [intent.key for intent in intents]
        replies = {key: call.reply for key, call in self._cache.get(keys).items()}
        marks = ",".join("?" * len(keys))
        query = f"SELECT key, asker FROM intents WHERE key IN ({marks}) AND asker NOT IN ('', ?)"
        rows = self._database.rows(query, (*keys, self.asker))
        elsewhere = _of_living(self._cache, rows) | self._in_batches()
        return {one.id: replies.get(one.key) for one in intents if one.key in replies or one.key in elsewhere}

    def _in_batches(self) -> set[str]:
        """Keys in batches that are not collected, and in those that living processes are about to submit."""
        # By row, without what stands behind the requests, which are long.
        for place, batch in self._database.rows("SELECT rowid, id FROM batches WHERE rowid > ?", (self._last,)):
            ((requests,),) = self._database.rows("SELECT requests FROM batches WHERE id = ?", (batch,))
            self._batches[batch], self._last = frozenset(json.loads(requests)), max(self._last, place)
        for batch in list(self._batches):
            if self._database.rows("SELECT 1 FROM batches WHERE id = ? AND collected", (batch,)):
                del self._batches[batch]
        submissions = self._database.rows("SELECT requests, asker FROM submissions")
        submitted = [key for requests in _of_living(self._cache, submissions) for key in json.loads(requests)]
        return set(submitted).union(*self._batches.values())

    def close(self) -> None:
        """What is still in flight has an unknown outcome."""
        _leave(self._cache, self.asker)
        self._presence.close()


def in_flight(cache: CallCache) -> set[str]:
    """The keys of requests that living processes have in flight."""
    return _of_living(cache, cache.database.rows("SELECT key, asker FROM intents WHERE asker != ''"))


def _of_living(cache: CallCache, rows: Iterable[tuple[str, str]]) -> set[str]:
    """What stands beside the names of living processes."""
    named = list(rows)
    living = {name for name in {name for _, name in named} if presence.is_alive(cache.database.path, name)}
    return {what for what, name in named if name in living}


def bury(cache: CallCache) -> None:
    """What dead processes had in flight has an unknown outcome from now on."""
    path = cache.database.path
    named = {name for (name,) in cache.database.rows("SELECT DISTINCT asker FROM intents WHERE asker != ''")}
    for name in named | set(presence.names(path)):
        if not presence.is_alive(path, name):
            _leave(cache, name)
            presence.bury(path, name)


def _leave(cache: CallCache, asker: str) -> None:
    with cache.database.transaction():
        cache.database.change("UPDATE intents SET asker = '' WHERE asker = ?", (asker,))
