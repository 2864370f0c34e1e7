"""Files of labelled texts: the same rows in every format, and errors with the line that an editor shows."""

import gzip
import json
import tracemalloc

import polars as pl
import pytest

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import examples, rows
from llm_icl.experiments.finetuning.rows import file_source, hub_source

ROWS = [
    {"text": 'He said "no", twice', "label": "1"},
    {"text": "two\nlines, and\ta tab", "label": "0"},
    {"text": "Größe 🙂 \u2028 end", "label": "1"},
]


def table(rows, delimiter, ends="\r\n"):
    import csv
    import io

    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter, lineterminator=ends)
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def read(folder, name, data):
    (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
    return list(file_source(folder, "train").rows)


def refused(folder, name, data):
    with pytest.raises(RequestError) as caught:
        read(folder, name, data)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{folder}/")


@pytest.mark.parametrize(
    ("name", "data", "numbers"),
    [
        ("train.jsonl", lines(ROWS), [1, 2, 3]),
        ("train.jsonl", "\ufeff" + lines(ROWS), [1, 2, 3]),
        ("train.jsonl", "\n" + lines(ROWS).replace("\n", "\r\n\r\n"), [2, 4, 6]),
        ("train.jsonl", json.dumps(ROWS[0]) + "\n" + lines(ROWS[1:]).rstrip("\n"), [1, 2, 3]),
        ("train.jsonl.gz", gzip.compress(lines(ROWS).encode()), [1, 2, 3]),
        ("train.csv", table(ROWS, ","), [2, 3, 5]),
        ("train.csv", "\ufeff" + table(ROWS, ",", "\n"), [2, 3, 5]),
        ("train.csv", "\n" + table(ROWS, ",", "\n").replace("label\n", "label\n\n"), [4, 5, 7]),
        ("train.tsv", table(ROWS, "\t", "\n"), [2, 3, 5]),
        ("train.csv.gz", gzip.compress(table(ROWS, ",").encode()), [2, 3, 5]),
        ("train.tsv.gz", gzip.compress(table(ROWS, "\t").encode()), [2, 3, 5]),
    ],
)
def test_rows_are_the_same_in_every_format(tmp_path, name, data, numbers):
    found = read(tmp_path, name, data)
    assert [row for _, row in found] == ROWS
    assert [number for number, _ in found] == numbers


def test_parquet_keeps_its_types(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_SLICE", 2)
    frame = pl.DataFrame(
        {
            "text": pl.Series(["a", "b", None, "d", "e"], dtype=pl.Categorical),
            "label": pl.Series([0, 1, 0, 1, 1], dtype=pl.Int8),
            "nested": [{"de": "x"}] * 5,
        }
    )
    frame.write_parquet(tmp_path / "train.parquet")
    source = file_source(tmp_path, "train")
    found = list(source.rows)
    assert [number for number, _ in found] == [1, 2, 3, 4, 5]
    assert [row["text"] for _, row in found] == ["a", "b", None, "d", "e"]
    assert [row["label"] for _, row in found] == [0, 1, 0, 1, 1]
    assert found[0][1]["nested"] == {"de": "x"}
    assert source.place(3) == f"{tmp_path}/train.parquet, row 3"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("train.jsonl", '[{"text": "a", "label": 0}]', "line 1: a JSON array: write one object a line"),
        ("train.jsonl", '[\n{"text": "a"}\n]', "line 1: not a whole JSON object"),
        ("train.jsonl", '{\n  "text": "a"\n}\n', "line 1: not a whole JSON object"),
        ("train.jsonl", '{"text": "a"}\n{"text": \n"b"}', "line 2: not a whole JSON object"),
        ("train.jsonl", '{"text": "a"}\n\n"b"', "line 3: not a JSON object: write one object a line"),
        ("train.jsonl", "[" * 100_000, "line 1: not a whole JSON object"),
        ("train.jsonl", '{"text": "a"} {"text": "b"}', "line 1: not a whole JSON object"),
        ("train.csv", 'text,label\na,0\n"b, and no end\nc,1\n', "line 3: a quotation mark is not closed"),
        ("train.csv", 'text,label\na,0\n"b" c,1\n', "line 3: ',' expected after '\"'"),
        (
            "train.tsv",
            'text\tlabel\n"Great screen\t1\nA bore\t0\nof 5"\t1\n',
            "line 2: a quotation mark begins a cell that ",
        ),
        ("train.jsonl", '{"text": "a", "label": 0, "label": 1}\n', "line 1: not a whole JSON object ('label' appears"),
        ("train.csv", "text,label\na, b,0\n", "line 2: 3 values for 2 columns"),
        ("train.csv", "text,label\n\na\n", "line 3: 1 value for 2 columns"),
        ("train.csv", "text,label,text\n", "line 1: the column 'text' appears twice"),
        ("train.csv", "text,label\na,0\nGr\u00f6\u00dfe,1\n".encode("latin-1"), "line 3 is not UTF-8"),
        ("train.jsonl", '{"text": "a"}\n{"text": "\u00f6"}'.encode("latin-1"), "line 2 is not UTF-8"),
        ("train.jsonl", '{"text": "a"}'.encode("utf-16"), "train.jsonl is UTF-16"),
        ("train.parquet", b"PAR1 and nothing", "train.parquet cannot be read"),
        ("train.jsonl.gz", b'{"text": "a"}', "train.jsonl.gz is not a whole gzip file"),
    ],
)
def test_what_is_no_row_is_one_clear_line(tmp_path, name, data, message):
    assert message in refused(tmp_path, name, data)


def test_a_data_set_of_the_hub_has_rows_with_numbers(monkeypatch):
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"text": ["a", None], "label": [1, 0]})
    asked = []

    def load_dataset(*arguments, split):
        asked.append((*arguments, split))
        return made

    monkeypatch.setattr(rows, "reach_hub", lambda: None)
    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    source = hub_source("own", "somebody/own", "", "train")
    assert asked == [("somebody/own", None, "train")]
    assert list(source.rows) == [(1, {"text": "a", "label": 1}), (2, {"text": None, "label": 0})]
    assert source.place(2) == "dataset 'own', train, row 2"


def test_a_quotation_mark_that_is_not_closed_does_not_fill_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "_LONGEST_CELL", 1000)
    data = 'text,label\na,0\n"b,1\n' + "c,0\n" * 1000
    assert "line 3: a quotation mark is not closed" in refused(tmp_path, "train.csv", data)


def test_a_file_that_is_not_there_is_told_with_those_that_are(tmp_path):
    (tmp_path / "train.json").write_text("[]")
    with pytest.raises(RequestError, match=r"must contain .*/train.jsonl \(or .csv, .*parquet\); there is train.json"):
        file_source(tmp_path, "train")
    (tmp_path / "train.csv").write_text("text,label\n")
    (tmp_path / "train.jsonl.gz").write_bytes(b"")
    with pytest.raises(RequestError, match=r"train.csv and train.jsonl.gz: only one file may hold the split train"):
        file_source(tmp_path, "train")


@pytest.mark.parametrize("ending", [".jsonl", ".csv.gz"])
def test_a_large_file_is_not_held_in_memory(tmp_path, monkeypatch, ending):
    """12 MB of text, of which 1 MB may stay in memory."""
    monkeypatch.setattr(examples, "_IN_MEMORY", 2**20)
    count, text = 4000, "a long text " * 250
    header, row = (
        ("text,label\n", f"%d {text},1\n") if "csv" in ending else ("", f'{{"text": "%d {text}", "label": 1}}\n')
    )
    with (gzip.open if "gz" in ending else open)(tmp_path / f"train{ending}", "wt") as stream:
        stream.write(header)
        stream.writelines(row % i for i in range(count))
    tracemalloc.start()
    template = examples.TextTemplate("{{ text }}")
    found = examples.examples_of(file_source(tmp_path, "train"), template, "label", {"0": 0, "1": 1})
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found) == count
    assert peak < 4 * 2**20
