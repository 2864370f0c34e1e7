"""Suites of training runs: their cells and report, killed workers, wrong suites; and curricula."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from llm_icl.errors import RequestError
from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.metrics import read_metrics
from local_models.sequence import tokens_of
from tests.inside import run_inside

SIZE = """
n: [3]
layers: [1]
width: [16]
"""
SETTINGS = """
points: 6
batch-size: 4
steps: 4
problems: 10
learner: [nearest-neighbour]
"""
LONG = """
evaluate-every: 20
overrides:
  - when: {architecture: transformer, task: conjunction}
    steps: 600
"""
CELLS = [f"{network}+{task}+n=3" for network in ("transformer", "gru") for task in ("conjunction", "parity")]
ASKED = ["asked+conjunction+n=3+points=6", "asked+parity+n=3+points=6"]


def write_suite(path, architecture="[transformer, gru]", task="[conjunction, parity]", size=SIZE, more=SETTINGS):
    axes = f"architecture: {architecture}\ntask: {task}\n{size}".strip().splitlines()
    path.write_text("kind: train\nmatrix:\n" + "".join(f"  {line}\n" for line in axes) + more)
    return path


def worker_of(folder):
    """The process that holds the lock of a run."""
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                if any(os.readlink(file) == str(folder / ".lock") for file in (process / "fd").iterdir()):
                    return int(process.name)
            except OSError:  # it has ended, or is another's
                continue
    return None


def record(folder):
    return json.loads((folder / "run.json").read_text())


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """A suite of 2 × 2 networks: what it said when one of its workers was killed, and when it was started again."""
    folder = tmp_path_factory.mktemp("suite")
    write_suite(folder / "own.yaml", more=SETTINGS + LONG)
    command = ["run", str(folder / "own.yaml"), "--out", str(folder / "all"), "--at-once", "2"]
    script = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *command]
    process = subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    long_one = folder / "all" / CELLS[0]
    while process.poll() is None and not (long_one / "checkpoint.safetensors").is_file():
        time.sleep(0.02)
    worker = worker_of(long_one)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    state = {
        name: record(folder / "all" / name)["status"]
        for name in CELLS
        if (folder / "all" / name / "run.json").is_file()
    }
    killed = subprocess.CompletedProcess(script, process.returncode, out, err)
    return folder, killed, state, run_inside(*command)


# --- a suite and a killed worker ---


def test_workers_stop_when_the_one_who_waits_for_them_is_killed(tmp_path):
    size = SETTINGS.replace("steps: 4", "steps: 100000") + "evaluate-every: 20"
    write_suite(tmp_path / "own.yaml", architecture="[gru]", task="[conjunction]", more=size)
    command = ["run", str(tmp_path / "own.yaml"), "--out", str(tmp_path / "all")]
    script = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *command]
    run = tmp_path / "all" / "gru+conjunction+n=3"
    with subprocess.Popen(script, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (run / "checkpoint.safetensors").is_file():
            time.sleep(0.02)
        worker = worker_of(run)
        process.kill()
    assert worker is not None
    end = time.monotonic() + 30
    while worker_of(run) is not None and time.monotonic() < end:
        time.sleep(0.05)
    assert worker_of(run) is None


def test_a_killed_worker_is_a_failed_cell_and_the_others_are_done(suite):
    _, killed, state, _ = suite
    assert killed.returncode == 1
    assert f"failed: {CELLS[0]}: its process ended (-9)" in killed.stderr
    assert "1 of 4 cells failed: re-running the command retries them" in killed.stderr
    assert "Traceback" not in killed.stderr
    assert state == {CELLS[0]: "running", **dict.fromkeys(CELLS[1:], "complete")}


def test_the_same_command_completes_it(suite):
    folder, _, _, again = suite
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in (folder / "all").iterdir() if path.is_dir()) == sorted(CELLS + ASKED)
    assert {name: record(folder / "all" / name)["status"] for name in CELLS} == dict.fromkeys(CELLS, "complete")
    steps = {name: [line["step"] for line in read_metrics(folder / "all" / name)] for name in CELLS}
    assert steps == {CELLS[0]: list(range(20, 601, 20)), **{name: [4] for name in CELLS[1:]}}


def test_all_networks_answer_the_same_problems_and_stand_in_one_report(suite):
    folder, _, _, again = suite
    for name in ASKED:
        frame = pl.read_parquet(folder / "all" / name / "predictions.parquet")
        assert set(frame["learner"]) == {"transformer", "gru", "nearest-neighbour"}
        assert len(frame) == 3 * 10 * 6
        assert len(frame.select("problem", "position", "label").unique()) == 10 * 6
    text = (folder / "all" / "report.md").read_text()
    for title in ("conjunction, n = 3", "parity, n = 3"):
        assert title in text
        assert title in again.stdout
    page = (folder / "all" / "report.html").read_text(encoding="utf-8")
    assert all(text in page for text in ("transformer", "gru", "<svg"))


def test_once_more_nothing_is_trained_or_asked_again(suite):
    folder, _, _, again = suite
    files = [folder / "all" / name / "checkpoint.safetensors" for name in CELLS]
    files += [folder / "all" / name / "predictions.parquet" for name in ASKED]
    before = [path.stat().st_mtime_ns for path in files]
    done = run_inside("run", folder / "own.yaml", "--out", folder / "all")
    assert done.returncode == 0, done.stderr
    assert [path.stat().st_mtime_ns for path in files] == before
    assert done.stdout == again.stdout


def test_networks_that_were_trained_otherwise_are_not_taken_for_those_of_this_suite(suite, tmp_path):
    folder, *_ = suite
    other = write_suite(tmp_path / "own.yaml", more=SETTINGS.replace("steps: 4", "steps: 3"))
    done = run_inside("run", other, "--out", folder / "all")
    assert done.returncode != 0
    assert "already contains a different run: choose another --out" in done.stderr


def test_a_network_whose_checkpoint_is_gone_is_trained_again(suite, tmp_path):
    folder, *_ = suite
    shutil.copytree(folder / "all", tmp_path / "all")
    checkpoint = tmp_path / "all" / CELLS[3] / "checkpoint.safetensors"
    before = load_file(checkpoint)
    checkpoint.unlink()
    done = run_inside("run", folder / "own.yaml", "--out", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    after = load_file(checkpoint)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_a_network_that_ends_early_is_not_under_way(tmp_path):
    from llm_icl.suites.cards import find_suite
    from llm_icl.suites.crew import LocalCrew
    from llm_icl.suites.run import run_trainings
    from llm_icl.suites.trainings import load_training_suite

    early = "points: 6\nsteps: 400\nevaluate-every: 2\nstop-at: 0.01\nproblems: 10\nlearner: averaging\n"
    own = write_suite(tmp_path / "own.yaml", "gru", "[conjunction, parity]", more=early)
    said = []

    def on_progress(what, done, whole):
        if what.startswith("training"):
            said.append((int(what.split()[1]), done, whole))

    suite = load_training_suite(*find_suite(str(own)))
    outcome = run_trainings(suite, tmp_path / "all", LocalCrew(1), on_progress, False)
    assert not outcome.failed
    assert max(active for active, _, _ in said) <= 1
    assert said[-1] == (0, 800, 800)


# --- what a suite would do, and wrong ones ---


def test_a_dry_run_names_the_cells_and_writes_nothing(tmp_path):
    done = run_inside("run", write_suite(tmp_path / "own.yaml"), "--out", tmp_path / "all", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert [line.split(":")[0] for line in done.stdout.splitlines()[:-1]] == [*CELLS, "in all"]
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]


def test_one_value_needs_no_list(tmp_path):
    own = write_suite(tmp_path / "own.yaml", "gru", "parity", "n: 3", "points: 6\nlearner: averaging\ntest: parity\n")
    done = run_inside("run", own, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("gru+parity+n=3: 2,000 steps of 64 problems, ")


def test_networks_of_different_tasks_that_meet_in_one_test_tell_their_tasks(tmp_path):
    from llm_icl.suites.cards import find_suite
    from llm_icl.suites.trainings import load_training_suite

    labels = {}
    for test in ("[]", "[majority]"):
        own = write_suite(tmp_path / "own.yaml", "[gru]", more=f"{SETTINGS}test: {test}\n")
        labels[test] = [cell.label for cell in load_training_suite(*find_suite(str(own))).cells]
    assert labels == {"[]": ["gru", "gru"], "[majority]": ["gru on conjunction", "gru on parity"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"size": f"{SIZE}depth: [1]"}, "unknown axis 'depth': known are architecture, task, n, layers"),
        ({"more": f"{SETTINGS}tempo: 3"}, "unknown field 'tempo'"),
        ({"more": SETTINGS + "overrides: [{when: {n: 3}, tempo: 3}]"}, "unknown setting 'tempo'"),
        ({"more": SETTINGS + "overrides: [{when: {tempo: 3}, steps: 3}]"}, "unknown axis 'tempo' in 'when'"),
        ({"more": SETTINGS + "overrides: [{when: {n: 3}, problems: 5}]"}, "problems"),
        ({"architecture": "[transfromer]"}, "unknown architecture 'transfromer': did you mean 'transformer'?"),
        ({"architecture": "[gru, gru]"}, "the cell gru+conjunction+n=3 appears twice"),
        ({"task": "[conjunctoin]"}, "unknown task 'conjunctoin': did you mean 'conjunction'?"),
        ({"task": "[conjunction:teaching=1]", "more": "points: 2"}, "a teaching sequence takes"),
        ({"more": f"{SETTINGS}start-n: 4"}, "start-n 4 is above --n 3"),
        ({"more": f"{SETTINGS}start-points: 7"}, "start-points 7 is above --points 6"),
        (
            {"more": SETTINGS.replace("points: 6", "points: six")},
            "points must be a whole number, at least 2 and at most 10,000, not 'six'",
        ),
        ({"more": SETTINGS.replace("steps: 4", "steps: 0")}, "steps"),
        ({"more": SETTINGS.replace("batch-size: 4", "batch-size: 0")}, "batch-size"),
        ({"more": f"{SETTINGS}evaluate-every: 0"}, "evaluate-every"),
        ({"size": SIZE.replace("width: [16]", "width: [0]")}, "width"),
        ({"size": SIZE.replace("layers: [1]", "layers: [0]")}, "layers"),
        ({"more": f"{SETTINGS}test: 5"}, "5"),
        ({"more": SETTINGS.replace("nearest-neighbour", "nearest-nieghbour")}, "unknown learner 'nearest-nieghbour'"),
    ],
)
def test_a_wrong_suite_is_one_clear_line_before_anything_is_trained(tmp_path, monkeypatch, change, message):
    monkeypatch.setattr("llm_icl.suites.run._train", lambda *_: {})
    done = run_inside("run", write_suite(tmp_path / "own.yaml", **change), "--out", tmp_path / "all")
    assert done.returncode == 2, done.stdout + done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]


@pytest.mark.parametrize("option", [("--model", "none"), ("--batch",), ("--max-cost", "1"), ("--max-calls", "1")])
def test_what_is_for_models_is_refused(tmp_path, option):
    done = run_inside("run", write_suite(tmp_path / "own.yaml"), "--out", tmp_path / "all", *option)
    assert done.returncode == 2
    assert "suite 'own' trains networks: options for API calls do not apply" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["own.yaml"]


# --- training requests that a suite makes ---


def requested(**options):
    training = Training.of(TrainingOptions.of(options))
    training.check()
    return training.request


def test_an_architecture_that_cannot_be_had_is_a_wrong_request(tmp_path):
    with pytest.raises(RequestError):
        requested(task="parity", architecture=f"hf/{tmp_path / 'nothing'}", n=3, points=6)


def test_a_pretrained_model_is_found_in_a_folder_whatever_its_name(tmp_path):
    from transformers import GPT2Config, GPT2Model

    folder = tmp_path / "My_Model"
    GPT2Model(GPT2Config(vocab_size=20, n_positions=24, n_embd=16, n_layer=2, n_head=2)).save_pretrained(folder)
    shape = requested(task="parity", architecture=f"hf/{folder}", n=3, points=6).shape
    assert (shape.inputs, shape.width, shape.layers, shape.tokens) == (4, 16, 2, 24)


def test_a_curriculum_grows_over_the_first_half_of_the_steps():
    request = requested(
        task="conjunction", n=6, points=11, start_n=2, start_points=3, steps=100, batch_size=5, layers=1
    )
    sizes = {step: tuple(request.batches(step).xs.shape) for step in (0, 25, 49, 50, 51, 99)}
    assert sizes == {0: (5, 3, 2), 25: (5, 7, 4), 49: (5, 11, 6), 50: (5, 11, 6), 51: (5, 11, 6), 99: (5, 11, 6)}
    grown = [request.batches(step).xs.shape[1:] for step in range(100)]
    assert grown == sorted(grown)
    assert {tuple(batch.xs.shape) for batch in request.held_out().values()} == {(256, 11, 6)}


def test_bits_that_are_not_yet_there_come_in_as_neither_of_a_bits_values():
    request = requested(task="conjunction", n=6, points=11, start_n=2, start_points=3, steps=100, batch_size=5)
    batch = request.batches(0)
    tokens = tokens_of(batch.xs, batch.shown, 7)
    points, labels = tokens[:, ::2], tokens[:, 1::2]
    assert torch.equal(points[..., :2], 2.0 * batch.xs - 1)
    assert (points[..., 2:] == 0).all()
    assert (labels[..., :6] == 0).all()
    assert torch.equal(labels[..., 6], 2.0 * batch.shown - 1)


def test_without_a_curriculum_all_batches_are_of_full_size():
    request = requested(task="conjunction", n=4, points=6, steps=10, batch_size=3)
    assert {tuple(request.batches(step).xs.shape) for step in range(10)} == {(3, 6, 4)}


def test_no_batch_of_a_request_that_was_accepted_lacks_room_for_a_teaching_prefix():
    """The first batch may hold short prefixes only."""
    try:
        request = requested(task="conjunction:teaching=1", n=8, points=12, start_points=8, batch_size=4)
    except RequestError:
        return
    for step in range(60):
        request.batches(step)
