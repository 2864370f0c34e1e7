"""The same command again: after the end, with another request, and after a stop or a kill at any moment."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from llm_icl.experiments.language_modelling import run as language_training_run
from tests.experiments.language_modelling.making import COMMAND, MODELS, TRAIN
from tests.inside import run_inside


def test_the_same_command_again_trains_nothing_and_prints_the_same(made, monkeypatch):
    folder, done = made
    files = [file for file in (folder / "run").rglob("*") if file.is_file() and file.name != ".lock"]
    files = [file for file in files if not file.name.startswith("report.")]
    before = {file: file.stat().st_mtime_ns for file in files}

    def refuse(*_):
        raise AssertionError("this is trained already")

    monkeypatch.setattr(language_training_run, "train", refuse)
    monkeypatch.setattr(language_training_run, "losses", refuse)
    again = run_inside(*COMMAND.split(), "--out", "run", cwd=folder)
    assert again.returncode == 0, again.stderr
    assert again.stdout == done.stdout
    assert {file: file.stat().st_mtime_ns for file in files} == before


@pytest.mark.parametrize("change", ["--steps 31", "--rate 0.001", "--seed 1,3", "--lengths 32", "--held-out train.txt"])
def test_another_request_does_not_get_the_folder(made, change):
    folder, _ = made
    (folder / "more.txt").write_text("more of it and more " * 10)
    done = run_inside(*COMMAND.split(), "--text", "more.txt", *change.split(), "--out", "run", cwd=folder)
    assert done.returncode == 2
    assert "already contains a different run" in done.stderr


# Imports once what is slow to import, and then for each moment (a file and its least number of lines) starts the
# command in a process of its own, which it kills as soon as the moment is there.
KILLER = """
import json, os, signal, sys, time
from pathlib import Path
import tensorboardX, transformers
import local_models.momentum_gpt
from llm_icl.experiments.language_modelling import report, run
from llm_icl.cli.main import main
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel, PreTrainedTokenizerFast

moments = json.loads(sys.argv.pop(1))
for path, least in moments:
    child = os.fork()
    if child == 0:
        main()
    while not Path(path).is_file() or len(Path(path).read_bytes().splitlines()) < least:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit(f"it ended before {path} was there")
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def test_killed_anywhere_it_ends_with_the_same_models_bit_for_bit(made, losses):
    folder, _ = made
    killed = folder / "killed"
    # In the midst of the first training; as a model is put into its place; in the midst of a later training.
    moments = [
        ("killed/softmax-1/metrics.jsonl", 3),
        ("killed/softmax-2/model.safetensors", 1),
        ("killed/momentum-learned-1/metrics.jsonl", 2),
    ]
    command = [sys.executable, "-c", KILLER, json.dumps(moments), *COMMAND.split(), "--out", "killed"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    killer = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert killer.returncode == 0, killer.stderr
    assert json.loads((killed / "run.json").read_text())["status"] == "running"
    done = run_inside(*COMMAND.split(), "--out", "killed", cwd=folder)
    assert done.returncode == 0, done.stderr
    for name in MODELS:
        truth, found = (load_file(folder / run / name / "model.safetensors") for run in ("run", "killed"))
        assert set(found) == set(truth)
        assert all(torch.equal(found[key], truth[key]) for key in truth), name
        steps = [json.loads(line)["step"] for line in (killed / name / "metrics.jsonl").read_text().splitlines()]
        assert steps == list(range(3, 31, 3))
    assert pl.read_parquet(killed / "losses.parquet").drop("speed").equals(losses.drop("speed"))
    assert not (killed / "parts").exists()


@pytest.mark.parametrize("moment", [2, 4])
def test_stopped_while_a_model_is_put_into_its_place_it_is_put_there_whole(made, monkeypatch, moment):
    folder, _ = made
    command = f"{TRAIN} --attention momentum-learned --lengths 32 --steps 2 --seed 1".split()
    put, moved = [], Path.replace

    def stopping(path, target):
        if path.parent.parent.name == "momentum-learned-1":
            put.append(path.name)
        if len(put) == moment:
            raise KeyboardInterrupt
        return moved(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", stopping)
        assert run_inside(*command, "--out", f"stopped-{moment}", cwd=folder).returncode == 130
    assert len(put) == moment
    found = []
    for run in (f"stopped-{moment}", "straight"):
        done = run_inside(*command, "--out", run, cwd=folder)
        assert done.returncode == 0, done.stderr
        found.append(load_file(folder / run / "momentum-learned-1" / "model.safetensors"))
    assert all(torch.equal(found[0][name], value) for name, value in found[1].items())


@pytest.mark.parametrize("moment", ["training", "after training"])
def test_a_model_that_diverges_fails_and_what_was_finished_stays(made, monkeypatch, moment):
    folder, _ = made
    out = folder / f"diverged {moment}"
    original = language_training_run.train if moment == "training" else language_training_run.losses

    def diverging(model, *rest):
        second = (out / MODELS[0] / "config.json").is_file() and len(list((out / "parts").glob("*"))) == 1
        if second and moment == "training":
            model.transformer.wpe.weight.register_hook(lambda gradient: gradient * torch.inf)
        found = original(model, *rest)
        return found * torch.nan if second and moment != "training" else found

    with monkeypatch.context() as patched:
        patched.setattr(language_training_run, "train" if moment == "training" else "losses", diverging)
        done = run_inside(*COMMAND.split(), "--out", out, cwd=folder)
    assert done.returncode == 1
    said = done.stderr.strip().splitlines()[-1]
    if moment == "training":
        assert "the norm of the gradient is" in said
        assert "at step 1 of 30" in said
        assert "(nothing was saved)" in said
        assert not (out / MODELS[1] / "config.json").exists()
    else:
        assert f"{MODELS[1]}: the held-out loss at a context of 8 tokens is not finite" in said
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    assert not (out / "losses.parquet").exists()
    assert [path.stem for path in (out / "parts").iterdir()] == [MODELS[0]]
