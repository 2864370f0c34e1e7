"""The SQLite database of all calls: replies, what they cost, and what is in flight."""

import fcntl
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
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

# Seconds to wait for one's turn; writing takes a few milliseconds.
_POLITE = 1.0


class Database:
    """In a write-ahead log, so that processes can share it; what is committed survives a loss of power."""

    def __init__(self, path: Path) -> None:
        """Open or create the database. Raises RequestError if that fails."""
        self.path = path
        self._writing = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._usable((sqlite3.Error, OSError)):
            self._turn = path.with_name(f"{path.name}-turn").open("ab")
            # Transactions come from several threads, one at a time.
            self._connection = sqlite3.connect(path, timeout=60, isolation_level=None, check_same_thread=False)
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
            self._take_turn()
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk has ended it
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                with suppress(OSError):
                    fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        self._connection.close()
        self._turn.close()

    def _take_turn(self) -> None:
        """SQLite lets those who wait for another process sleep for longer and longer: where others write all the time,
        one of them may never be lucky. Those who look every millisecond are. This is for politeness only: SQLite keeps
        writers apart, so nobody waits long for one that was stopped while it held the turn.
        """
        end = time.monotonic() + _POLITE
        while time.monotonic() < end:
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:  # a file system without locks
                return
            else:
                return

    @contextmanager
    def _usable(self, problems: tuple[type[Exception], ...] = (sqlite3.Error,)) -> Iterator[None]:
        """Turn a full disk, missing permissions or a corrupt file into a one-line RequestError."""
        try:
            yield
        except problems as problem:
            raise RequestError(f"the cache of calls {self.path} cannot be used: {problem}") from None
