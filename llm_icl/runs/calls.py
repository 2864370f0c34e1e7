"""Every reply of a model, on disk before it is counted: no call is repeated, whenever a run was killed."""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.errors import RequestError

# Part of every key: changes when a call of the same description would give another reply.
_VERSION = 1
_SQL_VARIABLES = 500  # keys looked up in one statement


@dataclass(frozen=True)
class Call:
    """What was asked and what came back; `reply` is JSON data."""

    key: str
    request: dict[str, Any]
    reply: dict[str, Any]


def call_key(model: dict[str, Any], request: dict[str, Any]) -> str:
    """The canonical form of everything that can change a reply, hashed."""
    text = json.dumps([_VERSION, model, request], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class CallCache:
    """Calls in an SQLite database (write-ahead log), which processes may share."""

    def __init__(self, path: Path) -> None:
        """Open or make the database. Raises RequestError where it cannot be used."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._usable():
            self._database = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=FULL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, request TEXT NOT NULL, reply TEXT NOT NULL)"
            )

    def get(self, keys: Iterable[str]) -> dict[str, Call]:
        """The calls that are there, by key."""
        wanted = list(keys)
        found: dict[str, Call] = {}
        for start in range(0, len(wanted), _SQL_VARIABLES):
            some = wanted[start : start + _SQL_VARIABLES]
            marks = ",".join("?" * len(some))
            query = f"SELECT key, request, reply FROM calls WHERE key IN ({marks})"
            with self._usable():
                rows = self._database.execute(query, some).fetchall()
            found |= {key: Call(key, json.loads(request), json.loads(reply)) for key, request, reply in rows}
        return found

    def put(self, calls: Iterable[Call]) -> None:
        """Commit calls, all or none; the first reply to a key stays."""
        rows = [(call.key, json.dumps(call.request), json.dumps(call.reply)) for call in calls]
        with self._usable():
            self._database.execute("BEGIN IMMEDIATE")
            self._database.executemany("INSERT OR IGNORE INTO calls VALUES (?, ?, ?)", rows)
            self._database.execute("COMMIT")

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """No space, no permission or a damaged file: what the user must mend, in one line."""
        try:
            yield
        except sqlite3.Error as problem:
            raise RequestError(f"the cache of calls {self._path} cannot be used: {problem}") from None
