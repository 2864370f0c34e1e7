"""What a name or an option that is not there leads to: one line with what is wrong, and the nearest right one."""

import re
import shlex
import socket
from pathlib import Path

import pytest

from tests.inside import run_inside

ROOT = Path(__file__).parents[2]
SMALL = "--n 3 --points 4 --problems 2"
OPTIONS = {
    f"eval --model none {SMALL} --task conjunction:nois=0.1": "has no option 'nois': did you mean 'noise'?",
    f"eval --model none {SMALL} --task conjunction:positve=0.1": "did you mean 'positive'?",
    f"eval --model none {SMALL} --task majority:drop_constnt=true": "did you mean 'drop-constant'?",
    f"eval --model none {SMALL} --task majority --learner nearest-neighbour:tei=vote": "did you mean 'tie'?",
    f"eval --model none {SMALL} --task majority --prompt basic:input=words": "did you mean 'inputs'?",
    f"eval --model gpt-4.1:efort=low {SMALL} --task majority": "did you mean 'effort'?",
    "train --task majority --n 3 --architecture transformer:head=2": "did you mean 'heads'?",
    "train --task majority --n 3 --architecture smollm2-135m:trainabel=all": "did you mean 'trainable'?",
    "train --task conjunction:nois=0.1 --n 3": "did you mean 'noise'?",
    "identify --learner averaging --task majority --n 3 --candidate nearest-neighbour:kk=3": "has no option 'kk'",
    "sample --task conjunction:nois=0.1 --n 3 --to x.npz": "did you mean 'noise'?",
    "show task conjunction:nois=0.1": "did you mean 'noise'?",
    "show problem conjunction:nois=0.1": "did you mean 'noise'?",
    "show prompt basic:lables=no/yes": "did you mean 'labels'?",
    "eval --modle none": "did you mean",
}


@pytest.mark.parametrize(("command", "message"), OPTIONS.items(), ids=OPTIONS)
def test_the_nearest_option_is_named(tmp_path, monkeypatch, command, message):
    monkeypatch.setenv("OPENAI_API_KEY", "no key")
    done = run_inside(*command.split(), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert message.lower() in done.stderr.splitlines()[-1].lower()


@pytest.mark.parametrize(("field", "message"), [("planed", "planted"), ("functionclass", "function-class")])
def test_the_nearest_field_of_a_card_is_named(tmp_path, field, message):
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "mine.yaml").write_text(f"function-class: parity\n{field}: 1\n")
    assert f"did you mean '{message}'?" in run_inside("show", "task", "mine", cwd=tmp_path).stderr


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "weights.bin").write_bytes(b"x")
    (tmp_path / "fake.gguf").write_bytes(b"x")
    return tmp_path


PATHS = {
    "./my-model.gguf": "there is no such file or folder",
    "my-model.gguf": "there is no such file or folder",
    "../elsewhere": "there is no such file or folder",
    "/nowhere/x": "there is no such file or folder",
    "~nobody/x": "there is no such file or folder",
    "hf/./nope": "there is no such file or folder",
    "hf/a/b/c": "there is no such file or folder",
    "hf//nowhere": "there is no such file or folder",
    "models/mine": "there is no such folder; a model of the hub is hf/models/mine",
    "empty": "the folder holds no model (config.json) and no training run",
    "hf/empty": "the folder holds no model (config.json) and no training run",
    "weights.bin": "a file with a model ends in .gguf",
    "fake.gguf": "is not a GGUF file",
}
VERBS = (
    f"eval --task majority {SMALL} --model",
    "identify --task majority --n 3 --model",
    "probe --model",
    "finetune-vs-icl --dataset sst2 --model",
    "show model",
)


@pytest.mark.parametrize(("path", "message"), PATHS.items(), ids=PATHS)
def test_what_is_wrong_with_a_path_is_said_without_the_catalogue(folder, path, message):
    done = run_inside(*VERBS[0].split(), path, cwd=folder)
    assert done.returncode == 2
    assert message in done.stderr
    assert "gpt-4.1" not in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_says_so(folder, verb):
    done = run_inside(*verb.split(), "./my-model.gguf", cwd=folder)
    assert done.returncode == 2
    assert done.stderr == "llm-icl: model './my-model.gguf': there is no such file or folder\n"


@pytest.mark.parametrize(
    "command", ["eval --model none --task ./tasks/mine.yaml", "eval --model none --task majority --prompt mine.jinja"]
)
def test_a_card_is_not_given_as_a_file(tmp_path, command):
    kind = "prompt" if "prompt" in command else "task"
    assert (
        f"put the file into ./{kind}s, or the folder of --{kind}s-dir"
        in run_inside(*command.split(), cwd=tmp_path).stderr
    )


@pytest.mark.parametrize("verb", [VERBS[0], "train --task majority --n 3 --architecture"])
def test_a_model_of_an_unreachable_hub_is_refused_at_once(tmp_path, monkeypatch, verb):
    def refused(*address, **how):
        raise OSError("unreachable")

    monkeypatch.setattr(socket, "create_connection", refused)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    done = run_inside(*verb.split(), "hf/nobody/nothing", cwd=tmp_path)
    assert done.returncode == 2
    assert re.fullmatch(
        r"(loading hf/nobody/nothing\n)?llm-icl: model 'hf/nobody/nothing' cannot be loaded: it is not on this "
        r"machine, and \S+ cannot be reached \(unreachable\)\n",
        done.stderr,
    )


def test_the_limits_of_the_documents_suffice_for_their_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "no key")
    lines = {
        line.strip()
        for page in (ROOT / "README.md", *(ROOT / "docs" / "guide").glob("*.md"))
        for line in page.read_text(encoding="utf-8").splitlines()
        if line.startswith("    llm-icl eval") and "--max-cost" in line
    }
    assert lines
    for line in lines:
        arguments = shlex.split(line, comments=True)[1:]
        done = run_inside(*arguments, "--dry-run", cwd=tmp_path)
        total = done.stdout.splitlines()[-2]
        cost = sum(map(float, re.findall(r"\$([\d.]+)", total)))
        assert 0 < cost <= float(arguments[arguments.index("--max-cost") + 1]), total
