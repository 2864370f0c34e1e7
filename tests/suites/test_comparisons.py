"""Suites that compare in-context learning with finetuning, on a small model and texts of one's own."""

import json

import pytest
import yaml

from tests.conftest import TinyModels
from tests.experiments.finetuning.own_texts import write_own_texts
from tests.inside import run_inside
from tests.reports.reading import table_of

SUITE = {
    "kind": "finetune-vs-icl",
    "examples": 6, "rates": "0.1", "controls": False, "seed": [1],
    "scales": {"paper": {"examples": 8}},
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("comparisons")
    write_own_texts(folder, training=80, evaluation=10)
    models = TinyModels(folder)
    matrix = {"model": [str(models.gpt2()), str(models.sliding())], "dataset": ["own.yaml"]}
    (folder / "suite.yaml").write_text(yaml.safe_dump(SUITE | {"matrix": matrix}))
    return folder


def run(folder, *options):
    return run_inside("run", "suite.yaml", "--data-dir", ".", *options, cwd=folder)


def test_each_model_is_compared_and_all_stand_in_one_report(folder):
    done = run(folder, "--out", "runs", "--json")
    assert done.returncode == 0, done.stderr
    rows = table_of(done.stdout, "accuracies")
    assert len(rows) == 2 * 3  # models and settings
    cells = sorted(path.parent for path in (folder / "runs").glob("*/run.json"))
    assert len(cells) == 2
    records = [json.loads((cell / "run.json").read_text()) for cell in cells]
    assert {record["status"] for record in records} == {"complete"}
    alone = run_inside("report", *cells, "--json", "--out", "joint", cwd=folder)
    assert table_of(alone.stdout, "accuracies") == rows
    before = [(cell / "answers.parquet").stat().st_mtime_ns for cell in cells]
    assert run(folder, "--out", "runs").returncode == 0
    assert [(cell / "answers.parquet").stat().st_mtime_ns for cell in cells] == before  # nothing is done again


def test_a_dry_run_names_the_comparisons_at_a_scale(folder):
    small, paper = (run(folder, "--dry-run", *more).stdout.splitlines() for more in ((), ("--scale", "paper")))
    assert len(small) == len(paper) == 3
    assert small[:2] == paper[:2]
    assert small[2].startswith("2 comparisons into outputs/suite-suite-")
    assert small[2] != paper[2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--max-calls", "3"), "suite 'suite' compares with finetuning: options for API calls do not apply"),
        (("--at-once", "2"), "trains no networks"),
    ],
)
def test_options_of_other_suites_are_refused(folder, options, words):
    done = run(folder, *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert words in done.stderr


def test_texts_are_for_comparisons_only(folder):
    done = run_inside("run", "demo", "--data-dir", ".", cwd=folder)
    assert (done.returncode, done.stderr) == (2, "llm-icl: suite 'demo' takes no texts: --data-dir does not apply\n")
