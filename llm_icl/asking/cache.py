"""The cache of replies: saved as they arrive, so no call is repeated even if a run is killed."""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.backends.exchange import Reply
from llm_icl.errors import RequestError

# Part of every key: incremented when the same request would now give a different reply.
_VERSION = 2
_SQL_VARIABLES = 500  # keys per statement
_TABLES = """
CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, request TEXT NOT NULL, reply TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spending (account TEXT NOT NULL, key TEXT NOT NULL, cost REAL NOT NULL);
CREATE INDEX IF NOT EXISTS spending_by_account ON spending (account);
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, model TEXT NOT NULL, requests TEXT NOT NULL, calls INTEGER NOT NULL,
    cost REAL NOT NULL, collected INTEGER NOT NULL
);
"""


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
    """Calls in an SQLite database (write-ahead log), which may be shared between processes."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises RequestError if that fails."""
        self._path = path
        self._writing = threading.Lock()  # lost requests are recorded while another thread commits replies
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._usable():
            # Replies are committed from a separate thread, one commit at a time.
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.executescript(_TABLES)

    def get(self, keys: Iterable[str]) -> dict[str, Call]:
        """The cached calls, by key. What cannot be read is removed: the request is made again."""
        wanted = list(keys)
        found: dict[str, Call] = {}
        unreadable: list[str] = []
        for start in range(0, len(wanted), _SQL_VARIABLES):
            some = wanted[start : start + _SQL_VARIABLES]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, request, reply FROM calls WHERE key IN ({marks})"
            with self._usable():
                rows = self._database.execute(query, some).fetchall()
            for key, request, text in rows:
                if (reply := Reply.read(str(text))) is None:
                    unreadable.append(key)
                else:
                    found[key] = Call(key, json.loads(request), reply)
        if unreadable:
            self.forget(unreadable)
        return found

    def put(self, calls: Iterable[Call], account: str = "", closed: str = "") -> None:
        """Commit calls and their cost to an account in one transaction; an existing reply is kept. `closed` is a batch
        to mark as collected.
        """
        kept = list(calls)
        rows = [(call.key, json.dumps(call.request), json.dumps(call.reply.data())) for call in kept]
        with self._transaction():
            self._database.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?)", rows)
            if account:
                costs = [(account, call.key, call.cost) for call in kept]
                self._database.executemany("INSERT INTO spending VALUES (?, ?, ?)", costs)
            if closed:
                self._database.execute("UPDATE batches SET collected = 1 WHERE id = ?", (closed,))

    def forget(self, keys: Iterable[str]) -> None:
        """Remove replies in which nothing can be used, so that others can take their place."""
        with self._transaction():
            self._database.executemany("DELETE FROM calls WHERE key = ?", [(key,) for key in keys])

    def put_lost(self, key: str, cost: float, account: str) -> None:
        """Record a request that may have been charged although no usable reply arrived."""
        with self._transaction():
            self._database.execute("INSERT INTO spending VALUES (?, ?, ?)", (account, key, cost))

    def spent(self, account: str) -> tuple[float, int]:
        """The spending of an account and its sub-accounts `ACCOUNT/…`: US dollars, and requests. An open batch counts
        with its maximum cost.
        """
        of_account = "(account = ?1 OR substr(account, 1, length(?1) + 1) = ?1 || '/')"
        with self._usable():
            query = f"SELECT COALESCE(SUM(cost), 0), COUNT(*) FROM spending WHERE {of_account}"
            cost, calls = self._database.execute(query, (account,)).fetchone()
            query = (
                "SELECT COALESCE(SUM(cost), 0), COALESCE(SUM(calls), 0) FROM batches "
                f"WHERE {of_account} AND NOT collected"
            )
            waiting, questions = self._database.execute(query, (account,)).fetchone()
        return float(cost + waiting), int(calls + questions)

    def put_batch(
        self, batch: str, account: str, model: str, requests: Mapping[str, dict[str, Any]], cost: float
    ) -> None:
        """Save a submitted batch and its maximum cost."""
        with self._transaction():
            row = (batch, account, model, json.dumps(dict(requests)), len(requests), cost, 0)
            self._database.execute("INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def open_batches(self, model: str) -> dict[str, tuple[dict[str, dict[str, Any]], float]]:
        """The uncollected batches of a model, by identifier: requests by key, and the maximum cost."""
        with self._usable():
            query = "SELECT id, requests, cost FROM batches WHERE model = ? AND NOT collected ORDER BY rowid"
            rows = self._database.execute(query, (model,)).fetchall()
        return {batch: (json.loads(requests), cost) for batch, requests, cost in rows}

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing, self._usable():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Turn a full disk, missing permissions or a corrupt file into a one-line RequestError."""
        try:
            yield
        except sqlite3.Error as problem:
            raise RequestError(f"the cache of calls {self._path} cannot be used: {problem}") from None
