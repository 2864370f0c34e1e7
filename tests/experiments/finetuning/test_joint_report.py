"""Several comparisons in the paper's tables: whose number stands where, and on how many sets it is above what."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import polars as pl
import pytest
import vl_convert

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.joint_report import joint_report
from llm_icl.experiments.finetuning.measures import SIMAOU, SIMAOU_RANDOM
from llm_icl.experiments.finetuning.methods import LAYER_CAUSAL, METHOD, PUBLISHED_METHOD, SHUFFLED
from llm_icl.reports.document import Table
from llm_icl.reports.markdown import markdown_text
from llm_icl.reports.values import written
from tests.inside import run_inside

EXAMPLES = 40
METHODS = (PUBLISHED_METHOD, LAYER_CAUSAL, SHUFFLED)
LOSSES = {method: {1: (3.0, 2.5)} for method in METHODS}


def compared(similarity, accuracy):
    """A comparison with this SimAOU by method, and this accuracy in context."""
    noise = np.random.default_rng(0).normal(scale=0.01, size=EXAMPLES)
    examples = np.arange(EXAMPLES)
    right = (examples < accuracy * EXAMPLES).astype(int)
    answers, measures = [], []
    for method in METHODS:
        fixed = {METHOD: method, "seed": 1, "example": examples}
        answers.append(pl.DataFrame(fixed | {"label": 1, "zs": 0, "icl": right, "ft": (examples < 20).astype(int)}))
        for name, level in ((SIMAOU.name, similarity[method]), (SIMAOU_RANDOM.name, 0.0)):
            measures.append(pl.DataFrame(fixed | {"measure": name, "value": level + noise * np.sin(examples + level)}))
    layers = pl.DataFrame({METHOD: [PUBLISHED_METHOD], "measure": [SIMAOU.name], "layer": [0], "value": [0.1]})
    return Compared(
        pl.concat(answers),
        pl.concat(measures),
        layers,
        {method: {1: 0.01} for method in METHODS},
        (0.001, 0.01),
        {1: 4},
        {1: 0.5},
        LOSSES,
    )


def record(model, name):
    request = {"model": {"name": model}, "dataset": {"name": name}, "demonstrations": 4, "examples": EXAMPLES}
    request |= {
        "separator": "newline",
        "seeds": [1],
        "choose_on": "training",
        "best_seed": False,
        "rates": [0.001, 0.01],
    }
    request |= {"controls": True}
    return {
        "kind": "finetune-vs-icl", "status": "complete", "command": f"llm-icl finetune-vs-icl {name}", "versions": {},
        "request": request, "wall_seconds": 5.0, "memory_gb": 1.0, "rates": {method: {1: 0.01} for method in METHODS},
        "demonstrations": {1: 4}, "kept_labels": {1: 0.5}, "losses": LOSSES,
    }  # fmt: skip


ALIKE = dict.fromkeys(METHODS, 0.2)
APART = {PUBLISHED_METHOD: 0.3, LAYER_CAUSAL: 0.5, SHUFFLED: 0.1}
RUNS = [
    (compared(ALIKE, 0.5), record("one", "mr")),
    (compared(APART, 0.75), record("one", "sst2")),
    (compared(APART, 1.0), record("two", "own")),
]


@pytest.fixture(scope="module")
def report():
    return joint_report(RUNS)


def table(report, key):
    tables = [block for section in report.sections for block in section.blocks if isinstance(block, Table)]
    return next(table for table in tables if table.key == key)


def cells(report, key):
    """The values as they are written, by row and column."""
    first, *columns = table(report, key).columns
    return {
        row[first.key]: {column.key: written(row[column.key], column.kind) for column in columns}
        for row in table(report, key).rows
    }


def test_a_column_is_a_set_in_the_papers_order_and_others_follow(report):
    _, *columns = table(report, "SimAOU").columns
    assert [column.name for column in columns] == ["sst2", "mr", "own"]


def test_every_number_stands_with_its_model_method_and_set(report):
    found = cells(report, "SimAOU")
    assert found["one, gradient descent"]["sst2"].startswith("0.30")
    assert found["one, gradient descent"]["mr"].startswith("0.20")
    assert found["one, shuffled labels"]["sst2"].startswith("0.10")
    assert found["one, gradient descent"]["own"] == found["two, gradient descent"]["sst2"] == ""
    assert found["two, layer-causal gradient descent"]["own"].startswith("0.50")
    accuracy = cells(report, "accuracies")
    assert accuracy["one, in context"]["sst2"].startswith("75.0 [")
    assert accuracy["one, in context"]["mr"].startswith("50.0 [")
    assert accuracy["one, without demonstrations"]["mr"].startswith("0.0 [")
    # Finetuning corrects the first 20 of 40; in context the first 20 are right, or the first 30.
    recovery = cells(report, "rec2ftp")
    assert recovery["one, gradient descent"]["mr"].startswith("100.0")
    assert recovery["one, null of gradient descent"]["mr"].startswith("0.0")
    assert recovery["one, null of gradient descent"]["sst2"].startswith("50.0")


def test_published_figures_stand_where_the_paper_has_them(report):
    accuracy = cells(report, "accuracies")
    assert accuracy["published, GPT 1.3B, in context"] == {"sst2": "92.7", "mr": "89.0", "own": ""}
    assert cells(report, "SimAOU at a label")["published, GPT 2.7B"] == {
        "sst2": "0.195",
        "mr": "0.157",
        "own": "",
    }
    assert not any(name.startswith("published") for name in cells(report, "SimAOU"))
    assert cells(report, "SimAM")["published, GPT 1.3B, null of gradient descent"]["sst2"] == "0.555"


def test_what_was_learned_and_how_stands_there_too(report):
    assert "shuffled labels: 50 % unchanged" in markdown_text(report)
    rates = cells(report, "rate")
    assert rates["one, gradient descent"] == {"sst2": "0.01 (max candidate)", "mr": "0.01 (max candidate)", "own": ""}
    assert rates["published, GPT 1.3B"] == {"sst2": "0.0005", "mr": "0.003", "own": ""}
    assert rates["one, shuffled labels"]["mr"] == "0.01"  # was not chosen for it
    assert cells(report, "loss")["one, shuffled labels"]["mr"] == "3.00 → 2.50"


def test_the_sentences_count_the_sets(report):
    sentences = report.verdicts
    one = next(line for line in sentences if line.startswith("one: SimAOU of gradient descent is"))
    assert "above chance on 2 of 2 sets" in one
    assert "above finetuning on shuffled labels on 1 of 2 sets" in one
    assert "one: SimAOU of layer-causal gradient descent is above that of gradient descent on 1 of 2 sets." in sentences


def drawn(specification):
    """The texts and the points of a picture, as (words, x, y)."""
    found = []

    def walk(element, x, y):
        move = re.match(r"translate\(([-\d.]+),([-\d.]+)\)", element.get("transform", ""))
        if move:
            x, y = x + float(move[1]), y + float(move[2])
        if element.tag.endswith("text"):
            found.append((element.text, x, y))
        elif element.get("aria-roledescription") == "point":
            found.append((element.get("aria-label"), x, y))
        for child in element:
            walk(child, x, y)

    walk(ElementTree.fromstring(vl_convert.vegalite_to_svg(json.dumps(specification))), 0.0, 0.0)
    return found


def test_in_the_picture_every_number_stands_with_its_model_and_set_though_some_are_missing(report):
    figures = [figure for section in report.sections for figure in section.figures()]
    found = drawn(figures[0].specification)
    levels = {words: y for words, _, y in found if words in ("sst2", "mr", "own")}
    panels = {words: x for words, x, _ in found if words in ("one", "two")}
    points = [(words, x, y) for words, x, y in found if words.startswith("SimAOU, above chance:")]
    assert len(points) == 9
    for words, x, y in points:
        shown = dict(part.split(": ") for part in words.split("; "))
        assert min(levels, key=lambda name: abs(levels[name] - y)) == shown["texts"]
        assert min(panels, key=lambda name: abs(panels[name] - x)) == shown["model"]


def test_two_runs_of_the_same_are_refused():
    with pytest.raises(RequestError, match="two of the runs are of one on mr"):
        joint_report([RUNS[0], RUNS[0]])


def test_the_verb_reports_runs_of_this_kind_and_refuses_an_unknown_one(tmp_path):
    for number, (found, about) in enumerate(RUNS):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(about))
        for name in ("answers", "measures", "layers"):
            getattr(found, name).write_parquet(folder / f"{name}.parquet")
    done = run_inside("report", "0", "1", "2", "--out", "all", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "all" / "report.md").read_text()
    assert "| one, gradient descent" in text
    assert "llm-icl finetune-vs-icl own" in text
    assert (tmp_path / "all" / "report.html").stat().st_size > 100_000
    assert not (tmp_path / "0" / "report.md").exists()
    (tmp_path / "1" / "run.json").write_text(json.dumps(RUNS[1][1] | {"kind": "other"}))
    refused = run_inside("report", "0", "1", cwd=tmp_path)
    assert refused.returncode == 2
    assert "unknown experiment 'other'" in refused.stderr
