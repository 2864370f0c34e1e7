"""What a training run says of itself, and several beside one another."""

import json

import pytest

from llm_icl.experiments.training.report import report_of
from llm_icl.runs import RunDirectory
from tests.inside import run_inside
from tests.reports.reading import table_of

SIZE = "--n 4 --points 8 --layers 1 --width 16 --steps 20 --evaluate-every 5".split()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    done = {}
    for name, words in (("mixed", "--task conjunction,parity"), ("other", "--task conjunction --architecture gru")):
        done[name] = run_inside("train", *words.split(), *SIZE, "--out", name, cwd=folder)
        assert done[name].returncode == 0, done[name].stderr
    return folder, done


def record(folder, name):
    return json.loads((folder / name / "run.json").read_text())


def test_a_single_run_has_a_report_in_its_folder_with_the_accuracies_of_its_record(trained):
    folder, done = trained
    found, text = record(folder, "mixed"), (folder / "mixed" / "report.md").read_text()
    for task, score in found["evaluation"]["tasks"].items():
        assert f"## {task}, n = 4" in text
        reached = {"mixed": score} | found["ceilings"][task]
        for name, entry in reached.items():
            cells = [f"{100 * entry[key]:.1f}" for key in ("accuracy", "last_half")]
            rows = [
                [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")
            ]
            assert [name, *cells] in rows
            assert all(cell in done["mixed"].stdout for cell in cells)
    assert f"{found['parameters']:,} parameters" in text
    assert "report: mixed/report.html" in done["mixed"].stdout
    assert "llm-icl eval --model mixed" in done["mixed"].stdout
    assert (folder / "mixed" / "report.html").read_text().count('<svg class="marks"') == 2


def test_the_verdict_says_how_far_it_is_from_the_ceiling_and_claims_no_significance(trained):
    folder, _ = trained
    found = record(folder, "mixed")
    verdicts = report_of([RunDirectory(folder / "mixed")]).verdicts
    for task, sentence in zip(found["evaluation"]["tasks"], verdicts, strict=True):
        own, best = found["evaluation"]["tasks"][task], found["ceilings"][task]["bayes"]
        for key in ("accuracy", "last_half"):
            assert f"{100 * abs(best[key] - own[key]):.1f} points" in sentence
        assert "held-out problems" in sentence
        assert "significan" not in sentence
        assert "distinguish" not in sentence


def test_the_figure_has_every_evaluation_and_the_ceilings(trained):
    folder, _ = trained
    (section,) = [one for one in report_of([RunDirectory(folder / "other")]).sections if one.about]
    (figure,) = section.figures()
    points = [row for layer in figure.specification["layer"] for row in layer["data"]["values"] if "says" in row]
    steps = {row["x"] for row in points if row["series"] == "other"}
    assert steps == {5, 10, 15, 20}
    assert {row["series"] for row in points} == {"other", *record(folder, "other")["ceilings"]["conjunction"]}


def test_as_json_the_run_keeps_its_name(trained):
    folder, _ = trained
    again = run_inside("train", "--task", "conjunction,parity", *SIZE, "--out", "mixed", "--json", cwd=folder)
    data = json.loads(again.stdout)
    assert (data["run"], data["report"]) == ("mixed", "mixed/report.html")
    rows = table_of(again.stdout, "accuracies")
    assert [(row["task"], row["learner"]) for row in rows if row["learner"] == "mixed"] == [
        ("conjunction", "mixed"), ("parity", "mixed"),
    ]  # fmt: skip


def test_several_runs_are_sections_of_one_report_and_rows_of_one_table(trained):
    folder, _ = trained
    done = run_inside("report", "mixed", "other", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    rows = table_of(done.stdout, "compared")
    assert [(row["network"], row["task"]) for row in rows] == [
        ("mixed", "conjunction"), ("mixed", "parity"), ("other", "conjunction"),
    ]  # fmt: skip
    for row in rows:
        found = record(folder, row["network"])
        assert row["last_half"] == found["evaluation"]["tasks"][row["task"]]["last_half"]
        assert row["ceiling_last_half"] == found["ceilings"][row["task"]]["bayes"]["last_half"]
    headings = [section["heading"] for section in json.loads(done.stdout)["sections"]]
    assert headings[0] == "All networks"
    assert [heading.split(":")[0] for heading in headings[1:]] == ["mixed", "other"]
