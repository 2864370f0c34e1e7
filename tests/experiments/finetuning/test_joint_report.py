"""Several comparisons in the paper's tables: whose number stands where, and what is shown on how many sets."""

import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
import vl_convert

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.joint_report import joint_report
from llm_icl.experiments.finetuning.methods import LAYER_CAUSAL, LAYER_CAUSAL_MATCHED, PUBLISHED_METHOD, SHUFFLED
from llm_icl.reports.document import Table
from llm_icl.reports.markdown import markdown_text
from llm_icl.reports.values import written
from tests.experiments.finetuning import worlds
from tests.experiments.finetuning.worlds import EXAMPLES, around
from tests.inside import run_inside

METHODS = (PUBLISHED_METHOD, LAYER_CAUSAL, LAYER_CAUSAL_MATCHED, SHUFFLED)
DRAWS = 5


def compared(similarity, accuracy, draws=DRAWS):
    """A comparison with this SimAOU by method, and this accuracy in context."""
    examples = np.arange(EXAMPLES)
    answers = {"zs": examples < 0, "icl": examples < accuracy * EXAMPLES, "ft": examples < EXAMPLES / 2}
    values = {method: around(level, 0.01, i, draws) for i, (method, level) in enumerate(similarity.items())}
    losses = {LAYER_CAUSAL: dict.fromkeys(range(1, draws + 1), (3.0, 4.0))}
    losses |= {method: dict.fromkeys(range(1, draws + 1), (3.0, 2.5)) for method in METHODS if method != LAYER_CAUSAL}
    return worlds.compared(values, {"": answers}, losses=losses, candidates=(0.001, 0.01))


def record(model, name, found):
    request = {"model": {"name": model}, "dataset": {"name": name}, "demonstrations": 4, "examples": EXAMPLES}
    request |= {"separator": "newline", "seeds": list(found.demonstrations), "choose_on": "training"}
    request |= {"best_seed": False, "rates": list(found.candidate_rates), "controls": True}
    return {
        "kind": "finetune-vs-icl", "status": "complete", "command": f"llm-icl finetune-vs-icl {name}", "versions": {},
        "started": "2026-01-01T00:00:00+00:00",
        "request": request, "wall_seconds": 5.0, "memory_gb": 1.0, "rates": found.rates, "losses": found.losses,
        "demonstrations": found.demonstrations, "kept_labels": found.unchanged_labels, "scales": found.scales,
    }  # fmt: skip


ALIKE = dict.fromkeys(METHODS, 0.2)
APART = {PUBLISHED_METHOD: 0.3, LAYER_CAUSAL: 0.5, LAYER_CAUSAL_MATCHED: 0.5, SHUFFLED: 0.1}
RUNS = [
    (found, record(model, name, found))
    for found, model, name in (
        (compared(ALIKE, 0.5), "one", "mr"),
        (compared(APART, 0.75), "one", "sst2"),
        (compared(APART, 1.0, draws=1), "two", "own"),
    )
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
    assert found["one, gradient descent"]["sst2"].startswith("0.300")
    assert found["one, gradient descent"]["mr"].startswith("0.200")
    assert found["one, shuffled labels"]["sst2"].startswith("0.100")
    assert found["one, random updates"]["sst2"].startswith("0.000")
    assert found["one, gradient descent"]["own"] == found["two, gradient descent"]["sst2"] == ""
    assert found["two, layer-causal gradient descent"]["own"].startswith("0.500")
    accuracy = cells(report, "accuracies")
    assert accuracy["one, in context"]["sst2"].startswith("75.0 [")
    assert accuracy["one, in context"]["mr"].startswith("50.0 [")
    assert accuracy["one, without demonstrations"]["mr"].startswith("0.0 [")
    assert cells(report, "gains")["one, in context"]["sst2"].startswith("+75.0")
    # Finetuning corrects the first half; in context the first half is right, or the first three quarters.
    assert cells(report, "rec2ftp")["one, gradient descent"]["mr"].startswith("100.0")


def test_the_matrix_shows_what_each_comparison_shows(report):
    signs = {row["row"]: row for row in table(report, "matrix").rows}
    assert [column.name for column in table(report, "matrix").columns if column.short] == [
        "model and measure", "sst2", "mr", "own"
    ]  # fmt: skip
    assert {row["against"] for row in signs.values()} == {"random updates"}
    assert [signs["one, SimAOU"][name] for name in ("sst2", "mr", "own")] == ["↑", "↑", None]
    assert signs["two, SimAOU"]["own"] == "?"  # one draw of demonstrations
    controls = {(row["row"], row["against"]): row for row in table(report, "controls").rows}
    assert [controls["one, SimAOU", "shuffled labels"][name] for name in ("sst2", "mr")] == ["↑", "≈"]
    assert [controls["one, SimAOU", "layer-causal, matched length"][name] for name in ("sst2", "mr")] == ["↓", "≈"]
    differences = {(row["row"], row["against"]): row for row in table(report, "differences").rows}
    assert differences["one, SimAOU", "shuffled labels"]["sst2"].value == pytest.approx(0.2)


def test_published_figures_stand_where_the_paper_has_them(report):
    accuracy = cells(report, "accuracies")
    assert accuracy["published, GPT 1.3B, in context"] == {"sst2": "92.7", "mr": "89.0", "own": ""}
    assert cells(report, "SimAOU at a label")["published, GPT 2.7B"] == {"sst2": "0.195", "mr": "0.157", "own": ""}
    assert not any(name.startswith("published") for name in cells(report, "SimAOU"))
    assert cells(report, "SimAM before finetuning")["published, GPT 1.3B"]["sst2"] == "0.555"


def test_what_was_learned_and_how_stands_there_too(report):
    assert "shuffled labels: 50 %, 50 %, 50 %, 50 %, 50 % unchanged" in markdown_text(report)
    rates = cells(report, "rate")
    assert rates["two, gradient descent"]["own"] == "0.01 (max candidate)"
    assert rates["published, GPT 1.3B"] == {"sst2": "0.0005", "mr": "0.003", "own": ""}
    assert rates["two, shuffled labels"]["own"] == "0.01"  # was not chosen for it
    loss = cells(report, "loss")
    assert loss["two, shuffled labels"]["own"] == "3.00 → 2.50"
    assert loss["two, layer-causal gradient descent"]["own"] == "3.00 → 4.00"


def test_a_card_has_the_gain_counts_the_sets_and_tells_what_qualifies_them(report):
    one, two = report.cards
    assert [(name, finding.badge) for name, finding in one.findings.items()] == [
        ("Gain in context", "clear"), ("Similarity", "weak"), ("Trust", "weak"),
    ]  # fmt: skip
    assert (one.of, one.where) == ("one", "sst2, mr")
    gain, similarity, trust = (finding.text for finding in one.findings.values())
    assert gain == "A gain in context is shown on 2 of 2 sets (sst2 +75.0, mr +50.0 points)."
    # On mr, shuffled labels are as similar.
    assert "SimAOU is above random updates on 2 of 2 sets, and above the controls too on 1" in similarity
    assert "5 draws of demonstrations" in trust
    assert "Layer-causal gradient descent raises the loss of the demonstrations in 10 of 10 draws" in trust
    assert "The learning rate is the largest candidate in 10 of 10" in trust
    # Rec2FTP, and SimAOU against random updates, shuffled labels and layer-causal descent, on two sets.
    assert "corrected for the 8 comparisons of such runs in this report (Holm)" in trust
    assert [finding.badge for finding in two.findings.values()] == ["can't tell"] * 3


def test_the_sentences_count_the_sets(report):
    sentences = report.verdicts
    one = next(line for line in sentences if line.startswith("one: SimAOU"))
    assert one.startswith("one: SimAOU of gradient descent: above random updates on 2 sets;")
    assert "where it is above, finetuning on shuffled labels is less similar on 1 set, as similar on 1 set" in one
    assert "; layer-causal gradient descent is more similar on 1 set, as similar on 1 set" in one


def test_one_draw_of_demonstrations_gives_no_conclusion(report):
    two = [line for line in report.verdicts if line.startswith("two: ")]
    assert two == [
        "two: fewer than 3 draws of demonstrations on own: no conclusion about similarity there.",
    ]


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
    points = [(words, x, y) for words, x, y in found if "\n" in (words or "")]
    assert len(points) == 9  # three updates that are compared, in three runs
    for words, x, y in points:
        _, place, _ = words.split("\n")
        model, texts = place.split(", ")
        assert min(levels, key=lambda name: abs(levels[name] - y)) == texts
        assert min(panels, key=lambda name: abs(panels[name] - x)) == model


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
    # SimAOU: of the other measures there are no numbers, and no picture.
    assert (tmp_path / "all" / "report.html").read_text().count('<svg class="marks"') == 1
    assert not (tmp_path / "0" / "report.md").exists()
    (tmp_path / "1" / "run.json").write_text(json.dumps(RUNS[1][1] | {"kind": "other"}))
    refused = run_inside("report", "0", "1", cwd=tmp_path)
    assert refused.returncode == 2
    assert "unknown experiment 'other'" in refused.stderr
