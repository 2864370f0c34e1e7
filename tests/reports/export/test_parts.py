"""Names of files: unique, plain, and the same in every order."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.reports.document import Column, Report, Section, Table
from llm_icl.reports.export.parts import RESERVED, distinct, parts_of
from llm_icl.reports.joined import joined

TASKS = ["expr: x1 & x2", "expr: x1 | x2", "expr: x1 ^ x2", "majority", "任务", "务任", "numbers", "", "a" * 200]


def names_by_task(tasks):
    table = Table("scores", "Scores", (Column("x", "x"),), ({"x": "y"},))
    sections = [Section(f"{task}, n = 3", f"s{i}", (table,), about={"task": task}) for i, task in enumerate(tasks)]
    return {part.about["task"]: part.name for part in parts_of(Report("r", sections=tuple(sections)))}


@settings(deadline=None)
@given(st.permutations(TASKS))
def test_a_file_is_of_the_same_task_in_every_order(tasks):
    assert names_by_task(tasks) == names_by_task(TASKS)


def test_names_are_plain_and_unique():
    names = list(names_by_task(TASKS).values())
    assert all(re.fullmatch("[a-z0-9-]{1,100}", name) for name in names)
    assert len(set(names)) == len(names)
    assert names_by_task(TASKS)["majority"] == "majority-scores"
    assert not set(RESERVED) & set(names)


def test_a_file_is_of_the_same_report_in_every_order():
    """Several trainings have a table of the same name each."""

    def names(order):
        reports = []
        for name in order:
            table = Table("networks", "Networks", (Column("x", "x"),), ({"x": name},))
            reports.append(Report(f"{name}: a network", sections=(Section("Network", "trained", (table,)),)))
        return {part.block.rows[0]["x"]: part.name for part in parts_of(joined(reports))}

    assert names("ab") == names("ba")
    assert names("ab") == {"a": "trained-networks-a", "b": "trained-networks-b"}
    assert names(["A/B", "A:B"])["A/B"].startswith("trained-networks-")  # both would be a-b


def test_tables_that_are_the_same_in_all_have_names_of_their_own():
    table = Table("scores", "Scores", (Column("x", "x"),), ({"x": "y"},))
    found = parts_of(Report("r", sections=(Section("s", "a", (table, table, table)),)))
    assert len({part.name for part in found}) == 3


def test_all_that_share_a_name_take_their_next_one():
    assert distinct([("a", "b"), ("a", "c"), ("d", "e")]) == ["b", "c", "d"]
    assert distinct([("a", "d"), ("a", "c"), ("d", "e")]) == ["d", "c", "e"]
    assert distinct([("numbers", "x")], ["numbers"]) == ["x"]
