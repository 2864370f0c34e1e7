"""The cache of replies: saved as they arrive, so no call is repeated even if a run is killed."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.asking.database import Database
from llm_icl.backends.exchange import Reply

# Part of every key: incremented when the same request would now give a different reply.
_VERSION = 2
_SQL_VARIABLES = 500  # keys per statement
_OF_ACCOUNT = "(account = ?1 OR substr(account, 1, length(?1) + 1) = ?1 || '/')"
# What counts towards limits, with its number of requests.
_COUNTED = " UNION ALL ".join(
    f"SELECT COALESCE(SUM(cost), 0), {calls} FROM {table} WHERE {_OF_ACCOUNT} {which}"
    for table, calls, which in (
        ("spending", "COUNT(*)", ""),
        ("intents", "COUNT(*)", ""),
        ("submissions", "COALESCE(SUM(calls), 0)", ""),
        ("batches", "COALESCE(SUM(calls), 0)", "AND NOT collected"),
    )
)
_UNANSWERED = f"SELECT COALESCE(SUM(cost), 0), COUNT(*) FROM intents WHERE {_OF_ACCOUNT} AND asker = ''"


@dataclass(frozen=True)
class Call:
    """A request as JSON data and its reply; `cost` in US dollars."""

    key: str
    request: dict[str, Any]
    reply: Reply
    cost: float = 0.0


def call_key(model: dict[str, Any], request: dict[str, Any]) -> str:
    """A hash of everything that can change a reply, in canonical form."""
    text = json.dumps([_VERSION, model, request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class CallCache:
    """Calls by key, and spending by account. Processes may share it."""

    def __init__(self, path: Path) -> None:
        """Open or create the cache. Raises RequestError if that fails."""
        self.database = Database(path)

    def get(self, keys: Iterable[str]) -> dict[str, Call]:
        """The cached calls, by key. What cannot be read is removed: the request is made again."""
        wanted = list(keys)
        found: dict[str, Call] = {}
        unreadable: list[str] = []
        for start in range(0, len(wanted), _SQL_VARIABLES):
            some = wanted[start : start + _SQL_VARIABLES]
            marks = ",".join("?" * len(some))
            rows = self.database.rows(f"SELECT key, request, reply FROM calls WHERE key IN ({marks})", some)
            for key, request, text in rows:
                if (reply := Reply.read(str(text))) is None:
                    unreadable.append(key)
                else:
                    found[key] = Call(key, _request_in(request), reply)
        if unreadable:
            self.forget(unreadable)
        return found

    def put(self, calls: Iterable[Call]) -> None:
        """Commit calls in one transaction; an existing reply is kept."""
        rows = [row(call) for call in calls]
        with self.database.transaction():
            self.database.change_all(INSERT, rows)

    def forget(self, keys: Iterable[str]) -> None:
        """Remove replies in which nothing can be used, so that others can take their place."""
        with self.database.transaction():
            self.database.change_all("DELETE FROM calls WHERE key = ?", [(key,) for key in keys])

    def spent(self, account: str) -> tuple[float, int]:
        """The spending of an account and its sub-accounts `ACCOUNT/…`: US dollars, and requests. What is in flight, has
        an unknown outcome or is in an open batch counts with its maximum cost.
        """
        rows = self.database.rows(_COUNTED, (account,))
        return float(sum(cost for cost, _ in rows)), int(sum(calls for _, calls in rows))

    def unanswered(self, account: str) -> tuple[float, int]:
        """The requests whose outcome is unknown: US dollars at most, and their number."""
        ((cost, calls),) = self.database.rows(_UNANSWERED, (account,))
        return float(cost), int(calls)

    def close(self) -> None:
        self.database.close()


def _request_in(text: str | bytes) -> dict[str, Any]:
    """A stored request, which is kept for people: without one that can be read its reply is as good."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


INSERT = "INSERT OR IGNORE INTO calls VALUES (?, ?, ?)"


def row(call: Call) -> tuple[str, str, str]:
    """A row of the table of calls."""
    return call.key, json.dumps(call.request), json.dumps(call.reply.data())
