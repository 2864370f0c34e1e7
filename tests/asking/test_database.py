"""The database of calls, as processes share it."""

import threading

import pytest

from llm_icl.asking.database import Database
from llm_icl.errors import RequestError

SPENT = "INSERT INTO spending VALUES ('run', ?, 0)"


def test_writers_wait_for_each_other(tmp_path):
    first, others = Database(tmp_path / "calls.sqlite"), [Database(tmp_path / "calls.sqlite") for _ in range(4)]

    def write(database):
        with database.transaction():
            ((count,),) = database.rows("SELECT COUNT(*) FROM spending")
            database.change(SPENT, (f"{count}",))

    threads = [threading.Thread(target=write, args=(database,)) for database in others]
    with first.transaction():
        for thread in threads:
            thread.start()
        first.change(SPENT, ("0",))
        assert all(thread.is_alive() for thread in threads)
    for thread in threads:
        thread.join()
    # Each saw what the one before it had written.
    assert sorted(first.rows("SELECT key FROM spending")) == [(f"{i}",) for i in range(5)]


def test_after_an_error_others_can_write(tmp_path):
    one, other = (Database(tmp_path / "calls.sqlite") for _ in range(2))

    def fail():
        with one.transaction():
            one.change(SPENT, ("lost",))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    with other.transaction():
        other.change(SPENT, ("kept",))
    assert one.rows("SELECT key FROM spending") == [("kept",)]


def test_a_file_that_cannot_be_opened_is_one_error(tmp_path):
    (tmp_path / "calls.sqlite").mkdir()
    with pytest.raises(RequestError, match=r"the cache of calls .*calls\.sqlite cannot be used: unable to open"):
        Database(tmp_path / "calls.sqlite")
