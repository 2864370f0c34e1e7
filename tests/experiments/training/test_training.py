"""Training through the command line: it learns, goes on bit for bit, and is then a learner like any other."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from llm_icl.config.specs import parse_specs
from llm_icl.errors import WorkError
from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from llm_icl.experiments.training.report import report_of
from llm_icl.networks.shapes import build
from llm_icl.networks.trained import about_network, find_trained
from llm_icl.reports.networks import networks_table
from llm_icl.runs import RunDirectory
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from local_models import trainer
from local_models.checkpoints import shape_of
from local_models.sequence import tokens_of
from local_models.trainer import Schedule, kept_steps
from tests.conftest import run_cli
from tests.inside import run_inside

SHORT = "train --task conjunction --n 4 --points 8 --layers 2 --width 32 --batch-size 16".split()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    command = "train --task conjunction --n 5 --points 20 --layers 2 --steps 400 --out run".split()
    done = run_inside(*command, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_it_learns_conjunctions_nearly_as_well_as_exact_bayes(trained):
    record = json.loads((trained / "run" / "run.json").read_text())
    assert record["evaluation"]["last_half"] > 0.95
    ceilings = record["ceilings"]["conjunction"]
    assert ceilings["bayes"]["last_half"] > 0.98
    assert record["evaluation"]["accuracy"] > ceilings["nearest-neighbour"]["accuracy"]
    lines = [json.loads(line) for line in (trained / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [100, 200, 300, 400]
    assert lines[0]["last_half"] < lines[-1]["last_half"]


def test_the_time_of_a_training_that_dies_is_counted(tmp_path):
    """Steps of a fifth of a second, no validation before the end, and a death that nothing can handle."""
    script = """
import os, time
from local_models import checkpoints, trainer
from llm_icl.cli.main import main

checkpoints.LONGEST_UNSAVED = 0.0
one_step, steps = trainer.one_step, []

def slow(*arguments):
    time.sleep(0.2)
    steps.append(1)
    if len(steps) == 9:
        os._exit(9)
    return one_step(*arguments)

trainer.one_step = slow
main()
"""
    command = [*SHORT, "--steps", "50", "--evaluate-every", "50", "--out", "run"]
    assert subprocess.run([sys.executable, "-c", script, *command], cwd=tmp_path, capture_output=True).returncode == 9
    assert json.loads((tmp_path / "run" / "run.json").read_text())["wall_seconds"] > 8 * 0.2


def test_its_card_says_what_it_is_and_how_well_it_does(trained, tmp_path):
    card = (trained / "run" / "README.md").read_text()
    assert "n = 5, 20 points, seed 0" in card
    (row,) = [line for line in card.splitlines() if line.startswith("| `conjunction` |")]
    _, problems, whole, last = (cell.strip() for cell in row.strip("|").split("|"))
    record = json.loads((trained / "run" / "run.json").read_text())
    assert problems == "256"
    for text, key in ((whole, "accuracy"), (last, "last_half")):
        value, low, high = map(float, text.replace("[", "").replace("]", "").replace(",", "").split())
        assert low < value < high
        assert value == pytest.approx(100 * record["evaluation"][key], abs=0.051)
    # Its command asks the network that is given away.
    shutil.copytree(trained / "run", tmp_path / "given")
    (command,) = [line.strip() for line in card.splitlines() if line.startswith("    llm-icl ")]
    words = command.replace("FOLDER", "given").removeprefix("llm-icl ").split()
    done = run_inside(*words, "--problems", "5", "--learner", "averaging", "--out", "asked", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_was_trained_answers_like_any_other_learner(trained):
    asked = "eval --model run --task conjunction --n 5 --points 20 --problems 100 --out asked".split()
    done = run_inside(*asked, cwd=trained)
    assert done.returncode == 0, done.stderr
    frame = pl.read_parquet(trained / "asked" / "predictions.parquet")
    assert set(frame["learner"]) >= {"run", "bayes", "nearest-neighbour"}
    accuracy = frame.with_columns(right=pl.col("prediction") == pl.col("label")).group_by("learner").agg("right")
    shares = {name: float(np.mean(right)) for name, right in accuracy.iter_rows()}
    assert shares["nearest-neighbour"] < shares["run"] < shares["bayes"] + 0.02


def test_its_answers_do_not_depend_on_the_company_or_on_later_points(trained):
    network = find_trained(str(trained / "run"))
    problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 5, 20, 6, 3)
    together = network.answer(problems).probability
    for i in range(6):
        np.testing.assert_array_equal(network.answer(problems[i : i + 1]).probability[0], together[i])
    shorter = draw_problems(load_task(parse_specs(["conjunction"])[0]), 5, 12, 6, 3)
    np.testing.assert_allclose(network.answer(shorter).probability, together[:, :12], atol=1e-5)


def test_a_label_is_seen_only_after_its_point():
    xs, ys = torch.tensor([[[0, 1], [1, 1]]]), torch.tensor([[1, 0]])
    expected = [[[-1, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, -1]]]
    assert tokens_of(xs, ys, 3).tolist() == expected


@pytest.mark.parametrize(("architecture", "optimiser"), [("transformer", "muon"), ("mamba2", "adamw")])
def test_killed_anywhere_it_ends_with_the_same_weights_bit_for_bit(tmp_path, architecture, optimiser):
    command = [*SHORT, "--steps", "60", "--evaluate-every", "5", "--architecture", architecture]
    command += ["--optimiser", optimiser, "--keep-checkpoints", "--out", "run"]
    (tmp_path / "undisturbed").mkdir()
    assert run_cli(*command, cwd=tmp_path / "undisturbed").returncode == 0
    folder = tmp_path / "killed"
    folder.mkdir()
    moments = random.Random(0)
    for goal in (5, 20, 40):
        script = [sys.executable, "-c", "from llm_icl.cli.main import main; main()", *command]
        process = subprocess.Popen(script, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        metrics = folder / "run" / "metrics.jsonl"
        while process.poll() is None:
            lines = metrics.read_text().splitlines() if metrics.is_file() else []
            if len(lines) >= goal / 5:
                break
            time.sleep(0.005)
        time.sleep(moments.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run_cli(*command, cwd=folder).returncode == 0
    truth, found = (load_file(path / "run" / "checkpoint.safetensors") for path in (tmp_path / "undisturbed", folder))
    assert set(found) == set(truth)
    assert all(torch.equal(found[name], truth[name]) for name in truth)
    assert len(truth) > 40  # the optimisers' numbers are there too
    steps = [json.loads(line)["step"] for line in metrics.read_text().splitlines()]
    assert steps == list(range(5, 61, 5))
    kept = {path.name: path.read_bytes() for path in (folder / "run" / "checkpoints").iterdir()}
    assert set(kept) == {f"step-{step}.safetensors" for step in (0, 1, 2, 5, 10, 20, 50)}
    assert all((tmp_path / "undisturbed/run/checkpoints" / name).read_bytes() == kept[name] for name in kept)
    of = [json.loads((path / "run" / "run.json").read_text()) for path in (tmp_path / "undisturbed", folder)]
    assert of[0]["algorithms"] == of[1]["algorithms"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    done = run_inside(*SHORT, *"--steps 20 --evaluate-every 10 --keep-checkpoints --out run".split(), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_kept_networks_are_those_of_their_steps(kept, tmp_path):
    """Step 0 is untrained, the last step the network itself; keeping changes nothing of the training."""
    assert kept_steps(20) == [0, 1, 2, 5, 10, 20]
    assert kept_steps(1999)[-4:] == [100, 200, 500, 1000]
    at = {step: load_file(kept / "run" / "checkpoints" / f"step-{step}.safetensors") for step in (0, 10, 20)}
    final = load_file(kept / "run" / "checkpoint.safetensors")
    assert all(torch.equal(tensor, final[name]) for name, tensor in at[20].items())
    assert set(at[20]) == {name for name in final if name.startswith("model.")}
    untrained = build(shape_of(kept / "run" / "checkpoint.safetensors"), seed=0).state_dict()
    assert all(torch.equal(tensor, untrained[name.removeprefix("model.")]) for name, tensor in at[0].items())
    assert not all(torch.equal(at[10][name], at[20][name]) for name in at[10])
    plain = run_inside(*SHORT, *"--steps 20 --evaluate-every 10 --out run".split(), cwd=tmp_path)
    assert plain.returncode == 0
    assert not (tmp_path / "run" / "checkpoints").exists()
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == (
        kept / "run" / "checkpoint.safetensors"
    ).read_bytes()


def test_a_kept_network_is_a_model_with_its_own_step_and_cost(kept):
    asked = "eval --model run,run@10,run@1 --task conjunction --n 4 --points 8 --problems 10 --out asked".split()
    done = run_inside(*asked, cwd=kept)
    assert done.returncode == 0, done.stderr
    record = json.loads((kept / "asked" / "run.json").read_text())
    assert [each["learner"] for each in record["algorithms"]] == ["run", "run@10", "run@1"]
    networks = record["networks"]
    assert [networks[name]["steps"] for name in ("run", "run@10", "run@1")] == [20, 10, 1]
    assert networks["run"]["tokens"] == 2 * networks["run@10"]["tokens"] == 20 * networks["run@1"]["tokens"]
    assert networks["run"]["flops"] == 2 * networks["run@10"]["flops"]
    assert [len(networks[name]["metrics"]) for name in ("run", "run@10", "run@1")] == [2, 1, 0]
    text = (kept / "asked" / "report.md").read_text()
    assert "run@10: Too few unseen queries" in text or "run@10: It" in text


def test_a_kept_step_that_was_not_evaluated_has_no_score_of_another(kept):
    rows = {row["network"]: row for row in networks_table({name: about_network(kept / "run", step)
            for name, step in (("run", None), ("run@10", 10), ("run@5", 5), ("run@2", 2))}).rows}  # fmt: skip
    lines = [json.loads(line) for line in (kept / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20]
    assert [rows[name]["last_half"] for name in ("run@10", "run")] == [line["last_half"] for line in lines]
    assert rows["run@5"]["last_half"] is rows["run@2"]["last_half"] is None


def test_a_step_that_was_not_kept_is_refused(kept, trained):
    for folder, name, said in (
        (kept, "run@7", "run kept no checkpoint of step '7': known are 0, 1, 2, 5, 10, 20"),
        (kept, "run@ten", "run kept no checkpoint of step 'ten'"),
        (trained, "run@100", "run kept no checkpoints: train with --keep-checkpoints"),
    ):
        done = run_inside("eval", "--model", name, *"--task conjunction --n 4".split(), cwd=folder)
        assert done.returncode == 2
        assert said in done.stderr
    assert find_trained("conjunction") is None
    assert find_trained("openai/some@1") is None


def test_over_training_a_verdict_for_every_kept_network_and_the_last(kept, trained):
    record = json.loads((kept / "run" / "run.json").read_text())
    assert [each["step"] for each in record["algorithms"]["conjunction"]] == [0, 1, 2, 5, 10, 20]
    report = report_of([RunDirectory(kept / "run")])
    (section,) = [one for one in report.sections if one.about]
    (table,) = [block for block in section.blocks if getattr(block, "key", "") == "algorithms"]
    assert [row["step"] for row in table.rows] == [0, 1, 2, 5, 10, 20]
    assert "algorithms" in [figure.name for figure in section.figures()]
    assert len(report.verdicts) == 1
    assert len(report.cards) == 1  # with the last network's algorithm
    # of a network whose checkpoints were not kept, the last one alone: it has learned what exact Bayes does
    record = json.loads((trained / "run" / "run.json").read_text())
    (verdict,) = record["algorithms"]["conjunction"]
    assert verdict["step"] == 400
    assert verdict["leader"].startswith("bayes")
    assert verdict["shares"][verdict["leader"]] > 0.8
    assert verdict["verdict"] in ("single", "nearest")


def test_several_tasks_are_mixed_problem_by_problem(tmp_path):
    request = Training.of(
        TrainingOptions(task=("conjunction", "parity"), n=4, points=6, layers=1, batch_size=5, seed=7)
    ).request
    batch = request.batches(3)
    tasks = [load_task(spec) for spec in parse_specs(["conjunction", "parity"])]
    alone = [draw_problems(task, 4, 6, list(range(15 + k, 20, 2)), 7, "training") for k, task in enumerate(tasks)]
    assert batch.xs.tolist() == [row for part in alone for row in part.xs.tolist()]
    assert batch.truth.tolist() == [row for part in alone for row in part.ys.tolist()]
    assert [part.indices.tolist() for part in alone] == [[15, 17, 19], [16, 18]]


@pytest.mark.parametrize("seed", [0, 7, 2**30, 2**31, 2**31 + 7, 2**32 + 1])
def test_a_network_is_not_evaluated_on_what_it_was_trained_or_validated_on(seed):
    """Inputs of 48 bits, so that problems that share a point are the same; with a curriculum, and with tasks that share
    their functions. Seeds that are 2^30 and 2^31 apart too.
    """
    options = TrainingOptions(
        task=("conjunction", "conjunction:noise=0.1"), n=48, points=4, start_n=40, layers=1, batch_size=8, steps=10,
        seed=seed,
    )  # fmt: skip
    request = Training.of(options).request
    training = [row for step in range(10) for row in inputs(request.batches(step).xs)]
    held_out = [row for batch in request.held_out().values() for row in inputs(batch.xs)]
    task = load_task(parse_specs(["conjunction"])[0])
    asked = [
        row
        for n in (40, 48)
        for other in (0, 7, 2**30, 2**30 + 7, 2**31, 2**31 + 7, 2**32 - 1)
        for row in inputs(draw_problems(task, n, 4, 256, other).xs)
    ]
    assert len(set(training)) == len(training)
    assert not set(training) & set(held_out)
    assert not set(training) & set(asked)
    assert not set(held_out) & set(asked)


def inputs(xs):
    return [bytes(row) for row in np.asarray(xs).reshape(-1, xs.shape[-1])]


def test_the_streams_of_a_seed_are_as_long_as_a_training_may_be(tmp_path):
    done = run_inside(*SHORT, *"--steps 300000000".split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "300000000 steps with a batch of 16 take more than the 2^32 problems of a seed" in done.stderr


def test_the_rate_rises_stays_and_falls():
    schedule = Schedule(steps=100, warmup=10, decay=0.5)
    assert [schedule.learning_rate_factor(step) for step in (0, 4, 9, 30, 50)] == pytest.approx([0.1, 0.5, 1, 1, 1])
    assert [schedule.learning_rate_factor(step) for step in (75, 99)] == pytest.approx([0.5, 0.02])


def test_a_rate_that_is_far_too_great_stops_with_the_step_and_the_seed(tmp_path):
    done = run_inside(*SHORT, *"--steps 200 --optimiser adam --rate 1e30 --seed 3".split(), cwd=tmp_path)
    assert done.returncode == 1
    assert "the loss is" in done.stderr
    assert "and seed 3: try a smaller learning rate" in done.stderr


@pytest.mark.parametrize("number", [np.inf, np.nan])
def test_a_training_that_diverges_in_its_last_step_is_not_finished_and_keeps_its_checkpoint(
    tmp_path, monkeypatch, number
):
    command = [*SHORT, *"--steps 6 --evaluate-every 2 --seed 3 --out run".split()]
    step = trainer.one_step

    def diverging(model, optimisers, batch, clip, lower):
        if (tmp_path / "run" / "metrics.jsonl").read_text().count("\n") == 2:  # after the fourth step
            next(model.parameters()).register_hook(lambda gradient: gradient * number)
        return step(model, optimisers, batch, clip, lower)

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "one_step", diverging)
        done = run_inside(*command, cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert "the norm of the gradient is nan at step 5 of 6, with learning rate 0.0" in line
    assert "seed 3: try a smaller learning rate (the checkpoint of step 4 is kept)" in line
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "running"
    asked = run_inside(*"eval --model run --task conjunction --n 4 --points 8".split(), cwd=tmp_path)
    assert asked.returncode == 2
    assert "is an unfinished training run" in asked.stderr
    assert run_inside(*command, cwd=tmp_path).returncode == 0  # from step 4 on, without the fault
    assert run_inside(*command[:-1], "whole", cwd=tmp_path).returncode == 0
    found, truth = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("run", "whole"))
    assert all(torch.equal(found[name], truth[name]) for name in truth)


def test_a_checkpoint_of_numbers_that_are_not_finite_is_not_asked(trained, tmp_path):
    """As earlier versions saved them."""
    shutil.copytree(trained / "run", tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    next(tensor for name, tensor in tensors.items() if name.startswith("model."))[0] = torch.nan
    save_file(tensors, path, metadata)
    done = run_inside(*"eval --model run --task conjunction --n 5 --points 10".split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "is of a training that diverged" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_network_whose_outputs_are_not_finite_gives_no_answers(trained, monkeypatch):
    network = find_trained(str(trained / "run"))
    problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 5, 8, 2)
    monkeypatch.setattr(trainer, "logits", lambda model, batch: torch.full(batch.shown.shape, torch.nan))
    with pytest.raises(WorkError, match="run: an output is not finite"):
        network.answer(problems)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --architecture tranformer --task majority", "unknown architecture 'tranformer'"),
        ("train --task majority --parameters 100", "100 parameters are too few for transformer"),
        ("train --task majority --parameters many", "'many' is not a number of parameters"),
        ("train --task majorty", "unknown task 'majorty'"),
        ("train", "--task is missing"),
        ("train --task majority --width 30", "a width of 30 does not divide into 4 heads"),
    ],
)
def test_a_wrong_request_is_one_clear_line(tmp_path, arguments, message):
    done = run_inside(*arguments.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_network_is_not_asked_what_it_was_not_made_for(trained, tmp_path):
    for options, message in (
        ("--n 6 --points 20", "run was trained for n = 5, not n = 6"),
        ("--n 5 --points 21", "run supports at most 20 points, not 21"),
    ):
        done = run_inside(*f"eval --model {trained / 'run'} --task conjunction {options}".split(), cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_damaged_checkpoint_is_one_clear_line(trained, tmp_path, damage):
    shutil.copytree(trained / "run", tmp_path / "run")
    path = tmp_path / "run" / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000] if damage == "cut" else b"no tensors at all")
    done = run_inside(*"eval --model run --task conjunction --n 5 --points 10".split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "cannot be read as a checkpoint" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_unfinished_run_is_not_asked(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text(json.dumps({"kind": "train", "status": "running"}))
    done = run_inside(*"eval --model run --task conjunction --n 5".split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "is an unfinished training run" in done.stderr
