"""One report of runs of several kinds, and where it goes."""

import json

import pytest

from tests.inside import run_inside
from tests.reports.reading import sections_of, table_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kinds")
    size = "--task conjunction --n 3 --points 6"
    for command in (
        f"train {size} --layers 1 --width 16 --steps 5 --out net",
        f"eval --model net {size} --problems 6 --out asked",
        f"eval --model none {size} --problems 6 --learner perceptron --out more",
        "probe --model net --task conjunction --problems 2 --copies 2 --out probed",
    ):
        done = run_inside(*command.split(), cwd=folder)
        assert done.returncode == 0, done.stderr
    return folder


def test_runs_of_several_kinds_stand_in_one_report(folder):
    done = run_inside("report", "net", "asked", "more", "probed", "--out", "all", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert len(data["sections"]) == 3  # the two evaluations are compared in one
    assert {row["learner"] for row in table_of(done.stdout, "scores")} >= {"net", "perceptron", "bayes"}
    assert len(table_of(done.stdout, "heads")) == 2 * 4
    assert len(data["notes"]) == len(set(data["notes"]))
    text = (folder / "all" / "report.md").read_text()
    for section in (one for one in sections_of(data) if one["tables"] or one["text"]):
        assert section["heading"].split(":")[0] in text
    for name in ("net", "asked", "more", "probed"):
        command = json.loads((folder / name / "run.json").read_text())["command"]
        assert text.count(f"    {command}\n") == 1


def test_a_subject_that_was_evaluated_and_identified_has_one_card(folder):
    probes = "--task conjunction --n 3 --examples 3,5 --contexts 12 --queries 3 --candidate averaging,bayes-labels"
    done = run_inside("identify", "--model", "net", "--learner", "averaging", *probes.split(), "--out", "which",
                      cwd=folder)  # fmt: skip
    assert done.returncode == 0, done.stderr
    cards = {}
    for runs in (["asked"], ["which"], ["asked", "which"], ["which", "asked"]):
        data = json.loads(run_inside("report", *runs, "--out", "cards", "--json", cwd=folder).stdout)
        cards[" ".join(runs)] = {card["of"]: card for card in data["cards"]}
        assert len(data["cards"]) == len(cards[" ".join(runs)])
    measured, probed = cards["asked"]["net"], cards["which"]["net"]
    assert measured["findings"]["Algorithm"] != probed["findings"]["Algorithm"]
    for runs in ("asked which", "which asked"):
        one, alone = cards[runs]["net"], cards[runs]["averaging"]
        assert alone == cards["which"]["averaging"]
        assert one["findings"]["Algorithm"] == probed["findings"]["Algorithm"]
        assert one["findings"]["Distance"] == measured["findings"]["Distance"]
        for each in (measured, probed):
            assert each["findings"]["Trust"]["text"] in one["findings"]["Trust"]["text"]


def test_a_report_of_several_runs_has_a_folder_of_its_own(folder):
    before = {name: (folder / name / "report.html").stat().st_mtime_ns for name in ("asked", "more")}
    done = run_inside("report", "asked", "more", cwd=folder)
    assert done.returncode == 0, done.stderr
    (own,) = (folder / "outputs").glob("report-*")
    assert f"report: outputs/{own.name}/report.html" in done.stdout
    assert {path.name for path in own.iterdir()} == {"report.html", "report.md"}
    assert {name: (folder / name / "report.html").stat().st_mtime_ns for name in before} == before
    run_inside("report", "./more", "asked", "asked", cwd=folder)
    assert list((folder / "outputs").glob("report-*")) == [own]  # the same runs


def test_a_report_of_one_run_goes_into_it(folder):
    done = run_inside("report", "asked", cwd=folder)
    assert "report: asked/report.html" in done.stdout


def test_an_unfinished_run_is_one_clear_line(folder):
    for name in ("net", "asked", "probed"):
        path = folder / name / "run.json"
        kept = path.read_text()
        path.write_text(json.dumps(json.loads(kept) | {"status": "running"}))
        done = run_inside("report", name, cwd=folder)
        path.write_text(kept)
        assert done.returncode == 2
        assert f"{name} is an unfinished run" in done.stderr
        assert done.stderr.count("\n") == 1
