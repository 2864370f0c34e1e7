"""The reports of all kinds of runs as data: every field is documented, and an export has the same numbers."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from llm_icl.experiments.kinds import experiments
from llm_icl.experiments.reporting import report_of
from llm_icl.reports.data import report_data
from llm_icl.reports.document import Table
from llm_icl.reports.export import files
from tests.experiments.making import made, write_places
from tests.reports.reading import sections_of

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
NAME = re.compile("`([^`]+)`")


def documented():
    """The tables of the page, each with its columns; words in capitals are names."""
    rows = [line.split(" | ") for line in PAGE.partition("## report --json")[2].splitlines() if line.count(" | ") == 2]
    found = {}
    for tables, _, columns in rows:
        for table in NAME.findall(tables):
            found.setdefault(_pattern(table), set()).update(map(_pattern, NAME.findall(columns)))
    return found


def _pattern(name):
    return re.sub("[A-Z]{2,}|I$", ".+", re.escape(name).replace(r"\ ", " "))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Finished runs, by what they are."""
    folder = tmp_path_factory.mktemp("runs")
    places = write_places(folder / "places")
    network, model = f"{places / 'network'}", f"hf/{places / 'gpt2'}"
    identify = experiments.get("identify")
    asked = identify.options.of(
        {"learner": "nearest-neighbour,averaging", "task": "majority", "n": 4, "examples": "5,9", "contexts": 16,
         "queries": 2, "candidate": "nearest-neighbour,averaging"}
    )  # fmt: skip
    requests = {
        "eval": made("eval", places, model=f"{network},{model}", task="majority,conjunction", problems=10, points=8),
        "train": made("train", places, keep_checkpoints=True),
        "identify": identify.of(asked),
        **{kind: made(kind, places) for kind in ("probe", "train-lm")},
        "finetune-vs-icl": made("finetune-vs-icl", places, controls=True),
    }
    return {name: request.run(folder / name) for name, request in requests.items()} | {
        "another train": made("train", places).run(folder / "another")
    }


EACH = ("eval", "train", "identify", "probe", "train-lm", "finetune-vs-icl")
MIXED = {name: (name,) for name in EACH} | {"two trainings": ("train", "another train"), "all": EACH}


@pytest.mark.parametrize("names", MIXED.values(), ids=MIXED)
def test_every_table_and_column_is_documented(runs, names):
    data = report_data(report_of([runs[name] for name in names]))
    assert set(data) == {"format", "title", "setting", "cards", "verdicts", "sections", "notes"}
    for card in data["cards"]:
        assert set(card) == {"of", "where", "findings"}
        assert "Trust" in card["findings"]
        for finding in card["findings"].values():
            assert set(finding) == {"badge", "text"}
    assert {card["of"] for card in data["cards"]}  # every kind has some
    tables = documented()
    assert [table for table, names in tables.items() if ".+" in names] == ["matrix", "differences", "measures"]
    seen = set()
    for section in sections_of(data):
        assert set(section) == {"heading", "about", "verdicts", "text", "tables", "sections"}
        assert set(section["about"]) <= {"task", "n", "seed", "problems", "points"}
        for key, rows in section["tables"].items():
            columns = [found for table, found in tables.items() if re.fullmatch(table, key)]
            assert columns, f"the table {key} is not documented"
            for column in {column for row in rows for column in row}:
                assert any(re.fullmatch(name, column) for name in set.union(*columns)), f"{key}: {column}"
            seen.add(key)
    assert seen


@pytest.mark.parametrize("names", MIXED.values(), ids=MIXED)
def test_an_export_has_all_tables_with_their_numbers(runs, names, monkeypatch):
    monkeypatch.setattr(files, "drawn", lambda figure: {"pdf": b""})  # tests/reports/export draws some
    report = report_of([runs[name] for name in names])
    exported = files.files_of(report)
    rows = {key: sum(len(section["tables"].get(key, [])) for section in sections_of(report_data(report)))
            for section in sections_of(report_data(report)) for key in section["tables"]}  # fmt: skip
    counted = dict.fromkeys((key for key, count in rows.items() if count), 0)
    for part in files.parts_of(report):
        if isinstance(part.block, Table):
            read = list(csv.DictReader(io.StringIO(exported[f"{part.name}.csv"].decode())))
            counted[part.block.key] += len(read)
            assert rf"\label{{tab:{part.name}}}" in exported[f"{part.name}.tex"].decode()
        else:
            assert f"{part.name}.pdf" in exported
    assert counted == {key: count for key, count in rows.items() if count}
    macros = re.findall(r"newcommand\{\\(.*?)\}", exported["numbers.tex"].decode())
    assert len(set(macros)) == len(macros) > 0
    assert all(re.fullmatch("icl[A-Za-z]+", macro) for macro in macros)


def test_data_have_no_numbers_that_json_lacks(runs):
    for run in runs.values():
        json.dumps(report_data(report_of([run])), allow_nan=False)
