"""The SQLite database of all calls: replies, what they cost, and what is in flight."""

import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llm_icl.errors import RequestError

# `spending` are requests that were charged. An intent is committed before its request is sent; one without an asker has
# an unknown outcome. A submission is the intent of a batch.
_TABLES = """
CREATE TABLE IF NOT EXISTS calls (key TEXT PRIMARY KEY, request TEXT NOT NULL, reply TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spending (account TEXT NOT NULL, key TEXT NOT NULL, cost REAL NOT NULL);
CREATE INDEX IF NOT EXISTS spending_by_account ON spending (account);
CREATE TABLE IF NOT EXISTS intents (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, key TEXT NOT NULL, cost REAL NOT NULL, asker TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS intents_by_key ON intents (key);
CREATE TABLE IF NOT EXISTS submissions (
    mark TEXT PRIMARY KEY, account TEXT NOT NULL, model TEXT NOT NULL, requests TEXT NOT NULL, calls INTEGER NOT NULL,
    cost REAL NOT NULL, asker TEXT NOT NULL, since REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, account TEXT NOT NULL, model TEXT NOT NULL, requests TEXT NOT NULL, calls INTEGER NOT NULL,
    cost REAL NOT NULL, collected INTEGER NOT NULL
);
"""


def _text(stored: bytes) -> str:
    """A stored text, whatever its bytes are: who reads it finds out whether it is good."""
    return stored.decode(errors="replace")


class Database:
    """In a write-ahead log, so that processes can share it; what is committed survives a loss of power."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises RequestError if that fails."""
        self.path = path
        self._writing = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._usable():
            # Transactions come from several threads, one at a time.
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
            self._connection.text_factory = _text
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_TABLES)

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._usable():
            return self._connection.execute(query, values).fetchall()

    def change(self, statement: str, values: Sequence[Any] = ()) -> int:
        """One statement in a transaction; returns the number of rows that changed."""
        with self._usable():
            return self._connection.execute(statement, values).rowcount

    def change_all(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """One statement for each of the rows, in a transaction."""
        with self._usable():
            self._connection.executemany(statement, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._writing, self._usable():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it
                    self._connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Turn a full disk, missing permissions or a corrupt file into a one-line RequestError."""
        try:
            yield
        except sqlite3.Error as problem:
            raise RequestError(f"the cache of calls {self.path} cannot be used: {problem}") from None
