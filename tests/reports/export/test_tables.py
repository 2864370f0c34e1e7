"""CSV files hold the numbers of the JSON report, digit by digit."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.analysis.intervals import IDENTICAL, Estimate
from llm_icl.api import evaluate
from llm_icl.reports.data import plain, report_data
from llm_icl.reports.document import Column, Table
from llm_icl.reports.export.parts import parts_of
from llm_icl.reports.export.tables import csv_text
from tests.reports.reading import sections_of

SPECIAL = {"inf": "infinity", "-inf": "-infinity"}


def read(table, about=()):
    return list(csv.DictReader(io.StringIO(csv_text(table, dict(about)))))


def as_json(row, columns):
    """A row of a CSV file in the shape of the JSON report."""

    def value(text, like):
        if text == "":
            return None
        return SPECIAL.get(text) or (text if like == "text" else float(text))

    found = {}
    for column in columns:
        found[column.key] = value(row[column.key], column.kind)
        if f"{column.key}_low" in row:
            ends = {end: value(row[f"{column.key}_{end}"], column.kind) for end in ("low", "high")}
            identical = {"identical": True} if row.get(f"{column.key}_identical") == "true" else {}
            found[column.key] = {"value": found[column.key], **ends, **identical}
    return found


def shaped(row, table):
    """Unknown values of a column of estimates are null as a whole or in parts: CSV has empty fields for both."""
    unknown = {"value": None, "low": None, "high": None}
    estimates = {c.key for c in table.columns if any(isinstance(r.get(c.key), Estimate) for r in table.rows)}
    return {key: unknown if value is None and key in estimates else value for key, value in row.items()}


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "run"
    return evaluate(model="none", task=["majority", "expr: x1 & ~x2"], n=[3], points=12, problems=12, out=out).report


def test_every_table_has_the_values_of_the_json_report(report):
    tables = [part for part in parts_of(report) if isinstance(part.block, Table)]
    data = [
        (section, key, rows)
        for section in sections_of(report_data(report))
        for key, rows in section["tables"].items()
        if rows
    ]
    assert len(tables) == len(data) >= 2
    for part, (section, key, rows) in zip(tables, data, strict=True):
        read_back = read(part.block, part.about)
        assert part.block.key == key
        assert [as_json(row, part.block.columns) for row in read_back] == [shaped(row, part.block) for row in rows]
        if "task" in section["about"]:  # the overview is about several
            assert all(row["task"] == section["about"]["task"] for row in read_back)


def test_files_are_named_by_task_n_and_table(report):
    names = [part.name for part in parts_of(report)]
    assert len(set(names)) == len(names)
    assert {"majority-n3-scores", "majority-n3-learning-curves", "expr-x1-x2-n3-scores"} <= set(names)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(), st.floats(), st.floats()), min_size=1))
def test_all_digits_are_kept(numbers):
    table = Table("t", "T", (Column("x", "x", "share"),), tuple({"x": Estimate(*three)} for three in numbers))
    assert [as_json(row, table.columns)["x"] for row in read(table)] == [plain(Estimate(*three)) for three in numbers]


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\r")))
def test_any_name_is_one_field(name):
    table = Table("t", "T", (Column("learner", "learner"), Column("x", "x", "share")), ({"learner": name, "x": 0.5},))
    assert read(table, {"task": name}) == [{"task": name, "learner": name, "x": "0.5"}]


def test_identical_learners_are_marked():
    rows = ({"x": IDENTICAL}, {"x": Estimate(0.0, -1.0, 1.0)})
    marked = [row["x_identical"] for row in read(Table("t", "T", (Column("x", "x", "points"),), rows))]
    assert marked == ["true", "false"]
