"""`llm-icl list runs` and `llm-icl report` of several runs."""

import json
import shutil
from pathlib import Path

import pytest

from tests.inside import run_inside


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """An evaluation, a training, and one that was interrupted."""
    cwd = tmp_path_factory.mktemp("here")
    evaluation = "eval --model none --task majority --n 3 --points 8 --problems 8 --out outputs/e".split()
    training = "train --task conjunction --n 3 --points 6 --steps 2 --width 8 --layers 1 --out outputs/t".split()
    for arguments in (evaluation, training):
        done = run_inside(*arguments, cwd=cwd)
        assert done.returncode == 0, done.stderr
    shutil.copytree(cwd / "outputs" / "e", cwd / "unfinished")
    record = json.loads((cwd / "unfinished" / "run.json").read_text())
    (cwd / "unfinished" / "run.json").write_text(json.dumps(record | {"status": "running"}))
    return cwd


def test_runs_are_listed(outputs):
    done = run_inside("list", "runs", "--json", cwd=outputs)
    found = {run["folder"]: run for run in json.loads(done.stdout)}
    assert {folder: (run["kind"], run["state"], run["tasks"]) for folder, run in found.items()} == {
        "outputs/e": ("eval", "finished", ["majority"]),
        "outputs/t": ("train", "finished", ["conjunction"]),
    }
    page = (Path(__file__).parents[2] / "docs" / "reference" / "files.md").read_text(encoding="utf-8")
    section = page.partition("## list runs --json")[2].partition("## ")[0]
    assert all(f"`{field}`" in section for run in found.values() for field in run)
    shown = run_inside("list", "runs", ".", cwd=outputs).stdout
    assert len(shown.splitlines()) == 4
    assert ["unfinished", "eval", "majority", "3", "unfinished"] in [line.split()[:5] for line in shown.splitlines()]


def test_texts_of_damaged_files_are_shown_on_one_line(tmp_path):
    (tmp_path / "a").mkdir()
    request = {"tasks": [{"name": "x\x1b[31m\ny"}]}
    record = {"status": "complete", "request": request, "command": "", "versions": {}}
    (tmp_path / "a" / "run.json").write_text(json.dumps(record))
    shown = run_inside("list", "runs", ".", cwd=tmp_path).stdout
    assert "\x1b" not in shown
    assert len(shown.splitlines()) == 2


def test_only_runs_are_in_a_folder(tmp_path):
    assert run_inside("list", "runs", cwd=tmp_path).stdout == "no runs in outputs\n"
    assert "takes no folder" in run_inside("list", "tasks", "x", cwd=tmp_path).stderr


@pytest.mark.parametrize("name", ["e", "t"])
def test_the_same_run_counts_once(outputs, tmp_path, name):
    """Named twice, named in two ways, and copied."""
    shutil.copytree(outputs / "outputs" / name, tmp_path / name)
    shutil.copytree(tmp_path / name, tmp_path / "copy")
    (alone, *others) = [
        json.loads(run_inside("report", *runs, "--json", cwd=tmp_path).stdout)
        for runs in ([name], [name, name], [name, f"./{name}"], [name, "copy"])
    ]
    assert [{**other, "report": ""} for other in others] == [{**alone, "report": ""}] * 3


def test_a_suite_is_reported_as_its_runs(outputs):
    data = json.loads(run_inside("report", "outputs", "--json", "--out", "both", cwd=outputs).stdout)
    assert len(data["sections"]) == 2
