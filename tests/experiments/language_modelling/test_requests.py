"""Requests that cannot be carried out: one clear line each."""

import re

import pytest

from tests.experiments.language_modelling.making import TRAIN, write_texts
from tests.inside import run_inside


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--attention sofmax", "unknown attention 'sofmax': did you mean 'softmax'?"),
        ("--attention softmax:eta=0.5", "attention 'softmax' has no option 'eta'"),
        ("--attention momentum-learned:eta=0.5", "attention 'momentum-learned' has no option 'eta'"),
        (
            "--attention momentum:beta=0.5",
            "attention 'momentum' has no option 'beta': did you mean 'eta'? options are eta",
        ),
        ("--attention momentum:eta=1", "attention 'momentum:eta=1': eta must be at least 0 and below 1"),
        ("--attention momentum:eta=-0.1", "eta must be at least 0 and below 1"),
        ("--attention momentum:eta=nan", "eta must be at least 0 and below 1"),
        ("--attention momentum:eta=x", "attention 'momentum:eta=x': eta must be at least 0 and below 1"),
        ("--attention momentum:eta=true", "eta must be at least 0 and below 1"),
        ("--lengths 5,32", "--lengths 5 does not divide the context of 32 tokens"),
        ("--lengths 64", "--lengths 64 does not divide the context of 32 tokens"),
        ("--lengths 0", "--lengths 0 is out of range"),
        ("--heads 3", "--width 16 is not divisible by --heads 3"),
        ("--vocabulary 256", "--vocabulary 256 is too small"),
        ("--text missing.txt", "--text missing.txt: there is no such file or folder"),
        ("--held-out missing.txt", "missing.txt: cannot be read: No such file"),
        ("--held-out no_such_line..", "the line 'no_such_line' occurs 0 times"),
        ("--held-out short.txt", "the held-out text has at most 9 tokens, which is less than --context 32"),
        ("--seed one", "--seed 'one' is not a whole number"),
        ("--steps 0", "--steps 0 is out of range"),
        ("--rate 0", "--rate 0.0 is out of range"),
    ],
)
def test_a_wrong_request_is_one_clear_line(tmp_path, arguments, message):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text("a river\n")
    done = run_inside(*TRAIN.split(), *"--steps 2 --seed 1".split(), *arguments.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a river\n", "the held-out text has at most"),
        # Enough bytes, but few tokens.
        ("bright bright bright bright bright bright", r"the held-out text has \d+ tokens"),
    ],
)
def test_a_text_that_is_too_short_is_told_apart_and_takes_no_folder(tmp_path, text, message):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text(text)
    command = f"{TRAIN} --attention softmax --steps 2 --seed 1 --out run"
    done = run_inside(*command.replace("held.txt", "short.txt").split(), cwd=tmp_path)
    assert done.returncode == 2
    assert re.search(message, done.stderr)
    assert len(done.stderr.strip().splitlines()) == 1
    done = run_inside(*command.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_a_text_that_is_as_long_as_the_context_is_not_called_shorter(tmp_path):
    write_texts(tmp_path)
    (tmp_path / "short.txt").write_text("1" * 31)  # and the end
    command = f"{TRAIN} --steps 2 --seed 1".replace("held.txt", "short.txt")
    done = run_inside(*command.split(), cwd=tmp_path)
    assert done.returncode == 2
    assert "32 tokens is shorter than the context of 32" not in done.stderr


def test_a_rate_that_is_far_too_great_stops_with_the_step_and_the_seed(tmp_path):
    write_texts(tmp_path)
    command = f"{TRAIN} --attention softmax --steps 5 --rate 1e38 --seed 4"
    done = run_inside(*command.split(), cwd=tmp_path)
    assert done.returncode == 1
    assert "the loss is" in done.stderr
    assert "at step 2 of 5, with learning rate 8e+37 and seed 4" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
