"""The Python API: the command line's objects, imported when they are used."""

import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import polars as pl
import pytest
from nbclient import NotebookClient

import llm_icl
from llm_icl.config.options import declared
from llm_icl.errors import RequestError
from llm_icl.experiments.kinds import experiments
from llm_icl.predictions import COLUMNS
from tests.conftest import run_cli

ROOT = Path(__file__).parents[2]
SMALL = {"model": "none", "task": "parity", "n": 3, "points": 6, "problems": 5}


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("work", "heavy"),
    [
        ("import llm_icl", ("numpy", "torch", "polars", "click", "yaml", "transformers")),
        # The list of commands.
        (
            "from llm_icl.experiments.kinds import experiments; experiments.items()",
            ("numpy", "torch", "polars", "vl_convert", "transformers"),
        ),
        # A hosted model needs nothing of those that run here.
        (
            "from llm_icl.backends import find_model; find_model('openai/gpt-4.1')",
            ("torch", "transformers", "scipy", "polars", "openai", "anthropic"),
        ),
    ],
)
def test_what_is_imported_first_brings_nothing_heavy(work, heavy):
    check = f"import sys; {work}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_everything_that_is_promised_is_there():
    for name in llm_icl.__all__:
        assert getattr(llm_icl, name).__doc__, name
    assert set(llm_icl.__all__) <= set(dir(llm_icl))
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        _ = llm_icl.evalute


@pytest.mark.parametrize(
    ("name", "kind"),
    [("evaluate", "eval"), ("train", "train"), ("probe", "probe"), ("finetune_vs_icl", "finetune-vs-icl")],
)
def test_a_function_says_every_option_of_its_command(name, kind):
    function = getattr(llm_icl, name)
    for one in declared(experiments.get(kind).options):
        assert one.name in inspect.signature(function).parameters
        assert one.text in function.__doc__


def test_an_evaluation_is_that_of_the_command_line(tmp_path):
    result = llm_icl.evaluate(**SMALL, out="mine")
    command = "eval --model none --task parity --n 3 --points 6 --problems 5 --out theirs"
    assert run_cli(*command.split(), cwd=tmp_path).returncode == 0
    theirs = llm_icl.load("theirs")
    assert result.predictions.equals(theirs.predictions)
    assert set(result.predictions.columns) == set(COLUMNS)
    assert result.records[0]["request"] == theirs.records[0]["request"]
    assert result.records[0]["command"] == "llm_icl.evaluate(model='none', task='parity', n=3, points=6, problems=5)"
    assert llm_icl.evaluate(**SMALL).paths == [f"outputs/{path.name}" for path in Path("outputs").glob("eval-*")]


def test_scores_are_means_of_predictions():
    result = llm_icl.evaluate(**SMALL)
    means = (
        result.predictions.with_columns((pl.col("prediction") == pl.col("label")).alias("right"))
        .group_by("learner")
        .agg(pl.col("right").mean())
    )
    scores = result.scores.filter(pl.col("average").is_not_null()).select("learner", "average")
    joined = scores.join(means, on="learner")
    assert len(joined) == len(means)
    assert joined["average"].to_list() == pytest.approx(joined["right"].to_list())


def test_a_result_shows_itself():
    result = llm_icl.evaluate(**SMALL)
    assert "best-constant" in repr(result)
    assert result._repr_html_().startswith("<iframe")
    assert "&lt;h1" in result._repr_html_()


def test_a_network_is_trained_probed_and_reported_together_with_an_evaluation():
    options = {"task": "conjunction", "n": 3, "points": 8}
    trained = llm_icl.train(**options, steps=4, layers=1, width=16, batch_size=8, out="network")
    evaluated = llm_icl.evaluate(**options, model="network", problems=4)
    heads = llm_icl.probe(model="network", problems=4, points=8)
    report = llm_icl.report(trained, "network", evaluated, heads, out="together")
    assert Path("together/report.html").is_file()
    assert len(report.runs) == 4
    assert {"network", "accuracy"} <= set(trained.scores.columns)
    with pytest.raises(RequestError, match="only evaluations and identifications have predictions"):
        _ = trained.predictions


def test_progress_is_told():
    seen = []
    llm_icl.evaluate(**SMALL, on_progress=lambda what, done, whole: seen.append((what, done, whole)))
    assert seen[-1][0] == "done"
    assert seen[-1][1] == seen[-1][2] > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"n": 3}, "--task is missing"),
        ({"task": "parity", "points": 0}, "--points 0 is out of range"),
        ({"task": "parity", "tsak": 1}, "unknown option 'tsak': did you mean 'task'?"),
        ({"task": "party"}, "did you mean 'parity'?"),
        ({"task": []}, "--task is missing"),
        ({"task": "parity", "n": []}, "--n is empty"),
        ({"task": "parity", "out": ""}, "does not name a folder"),
    ],
)
def test_a_wrong_request_is_one_clear_line(options, words):
    with pytest.raises(RequestError) as problem:
        llm_icl.evaluate(model="none", **options)
    assert words in str(problem.value)


KEY = "sk-proj-AbCd1234efGH5678ijKL"


@pytest.mark.parametrize(
    "call",
    [
        lambda: llm_icl.evaluate(**SMALL | {"model": f"openai/{KEY}"}),
        lambda: llm_icl.evaluate(**SMALL, out=f"runs/{KEY}"),
        lambda: llm_icl.identify(task="parity", learner=["averaging", KEY]),
        lambda: llm_icl.probe(model=f"openai/m:key={KEY}"),
        lambda: llm_icl.draw(task=KEY),
        lambda: llm_icl.load(KEY),
        lambda: llm_icl.report(Path("runs") / KEY),
    ],
)
def test_a_key_is_refused_and_not_repeated(call, tmp_path):
    with pytest.raises(RequestError, match="holds an API key") as problem:
        call()
    assert KEY not in str(problem.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_run_says_so():
    with pytest.raises(RequestError, match="nowhere is not a run"):
        llm_icl.load("nowhere")


def test_the_problems_are_those_of_sample(tmp_path):
    drawn = llm_icl.draw(task="majority", n=3, points=5, problems=2, seed=7)
    command = "sample --task majority --n 3 --points 5 --problems 2 --seed 7 --to drawn.jsonl"
    assert run_cli(*command.split(), cwd=tmp_path).returncode == 0
    rows = [json.loads(line) for line in Path("drawn.jsonl").read_text().splitlines()]
    assert drawn.xs.tolist() == [row["inputs"] for row in rows]


def test_the_notebook_runs(tmp_path):
    notebook = nbformat.read(ROOT / "docs" / "guide" / "notebook.ipynb", as_version=4)
    assert len(notebook.cells) == 10
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]
    assert all(shown)
    assert any("text/html" in output.get("data", {}) for outputs in shown for output in outputs)
