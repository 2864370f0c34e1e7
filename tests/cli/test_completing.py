"""Shells complete commands, options and names, quickly."""

import os
import subprocess
import sys
from contextlib import chdir
from types import SimpleNamespace

import pytest
from click.shell_completion import BashComplete

from llm_icl.cli.completing import completing
from llm_icl.cli.main import cli
from llm_icl.learners import learners
from local_models.architectures import architectures
from tests.conftest import run_cli


def completed(cwd, *words):
    """What may stand for the last word: the values, and the kinds of completions."""
    with chdir(cwd):
        found = BashComplete(cli, {}, "llm-icl", "_LLM_ICL_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return [item.value for item in found], {item.type for item in found}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "tasks" / "suites").mkdir(parents=True)
    (tmp_path / "tasks" / "my-task.yaml").write_text("function-class: parity\n")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "other-task.yaml").write_text("function-class: parity\n")
    (tmp_path / "models.yaml").write_text("models: {my-model: {backend: openai, identifier: x}}\n")
    for name, file in (("e", "predictions.parquet"), ("t", "checkpoint.safetensors")):
        (tmp_path / "outputs" / name).mkdir(parents=True)
        (tmp_path / "outputs" / name / "run.json").write_text("{}")
        (tmp_path / "outputs" / name / file).write_text("")
    return tmp_path


CASES = {
    "ev": ["eval"],
    "list ru": ["runs"],
    "show learn": ["learner"],
    "eval --tas": ["--task", "--tasks-dir"],
    "eval --task majority-": ["majority-llm"],
    "eval --task majority,conjunction-": ["majority,conjunction-llm"],
    "eval --task my": ["my-task"],
    "train --test my": ["my-task"],
    "sample --task my": ["my-task"],
    "show problem my": ["my-task"],
    "eval --tasks-dir own --task other": ["other-task"],
    "eval --learner averaging,percep": ["averaging,perceptron"],
    "identify --candidate percep": ["perceptron"],
    "show learner percep": ["perceptron"],
    "eval --model gemma3-270": ["gemma3-270m"],
    "eval --model my": ["my-model"],
    "probe --model outputs/": ["outputs/t"],
    "eval --model non": ["none"],
    "train --architecture mamb": ["mamba", "mamba2"],
    "show architecture gated-deltanet-": ["gated-deltanet-negative"],
    "eval --prompt chat": ["chat-turns"],
    "finetune-vs-icl --dataset sst": ["sst2", "sst5"],
    "run dem": ["demo"],
    "report out": ["outputs/e", "outputs/t"],
    "report outputs/e outputs/t": ["outputs/t"],
    "eval --mode cur": ["curve"],
}


@pytest.mark.parametrize(("line", "expected"), CASES.items(), ids=CASES)
def test_names_are_completed(folder, line, expected):
    assert completed(folder, *line.split()) == (expected, {"plain"})


@pytest.mark.parametrize("line", ["eval --model ./my", "report /tmp/x", "eval --task nothing-like-this"])
def test_what_begins_no_name_may_be_a_path(folder, line):
    assert completed(folder, *line.split()) == ([line.split()[-1]], {"file"})


def test_what_cannot_be_read_disturbs_no_shell(folder):
    (folder / "models.yaml").write_text("models: [")
    assert completed(folder, "eval", "--model", "gpt") == (["gpt"], {"file"})


def test_the_names_are_those_of_the_registries():
    def names(option):
        return {item.value for item in completing(option)(SimpleNamespace(params={}), None, "")}

    assert names("architecture") == set(architectures())
    assert names("learner") == {name for name, _ in learners.items()}
    assert completing("points") is None


@pytest.mark.parametrize(
    "words", ["eval --task maj", "train --architecture mam", "eval --model gemma3-270", "report x"]
)
def test_no_heavy_package_is_imported(tmp_path, words):
    script = (
        "import sys\nfrom llm_icl.cli.main import main\nsys.argv = ['llm-icl']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "heavy = ['torch', 'transformers', 'polars', 'vl_convert', 'scipy', 'datasets', 'openai']\n"
        "print([name for name in heavy if name in sys.modules], file=sys.stderr)"
    )
    asked = {"COMP_WORDS": f"llm-icl {words}", "COMP_CWORD": "3", "_LLM_ICL_COMPLETE": "bash_complete"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True, env=_with(asked)
    )
    assert done.stdout
    assert done.stderr == "[]\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_that_it_can_read(tmp_path, shell):
    done = run_cli(cwd=tmp_path, env=_with({"_LLM_ICL_COMPLETE": f"{shell}_source"}))
    assert done.returncode == 0, done.stderr
    assert "_LLM_ICL_COMPLETE" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


def _with(more):
    return {**os.environ, **more}
