"""A suite with a wrong value under any key is refused before it starts, with the line and what is allowed."""

import pytest
import yaml

from llm_icl.config.cards import parse_card
from llm_icl.suites.comparisons import AXES as COMPARISON_AXES
from llm_icl.suites.comparisons import SETTINGS as COMPARISON_SETTINGS
from llm_icl.suites.evaluations import AXES as EVALUATION_AXES
from llm_icl.suites.evaluations import KINDS, load_suite
from llm_icl.suites.trainings import AXES as TRAINING_AXES
from llm_icl.suites.trainings import SETTINGS as TRAINING_SETTINGS
from tests.inside import run_inside

EVALUATION = {"matrix": {"model": ["none"], "task": ["parity"], "n": [3]}, "points": 4, "problems": 2}
TRAINING = {
    "kind": "train", "matrix": {"architecture": ["lstm"], "task": ["parity"], "n": [3]}, "points": 4, "problems": 2,
    "steps": 3,
}  # fmt: skip
# A value that is wrong under a key, and words of what is said then.
IDENTIFICATION = {
    "kind": "identify",
    "matrix": {"model": ["none"], "task": ["majority"], "n": [3]},
    "learner": "averaging",
}
COMPARISON = {"kind": "finetune-vs-icl", "matrix": {"model": ["smollm2-135m"], "dataset": ["sst2"]}}
WRONG = {
    "model": (["nobody"], "nobody"), "prompt": (["no-prompt"], "no-prompt"), "task": (["no-task"], "no-task"),
    "n": ([0], "n 0 is out of range"), "seed": ([-1], "seed"),
    "points": (0, "points"), "problems": ("many", "problems must be a whole number"), "positions": ("7,99", "99"),
    "learner": (["no-learner"], "no-learner"), "mode": ("banana", "mode must be one of auto, curve"),
    "shuffled-labels": ("perhaps", "shuffled-labels must be true or false"), "repeats": (0, "repeats 0"),
    "architecture": (["lstn"], "did you mean 'lstm'"), "layers": ([0], "layers 0"), "width": (["wide"], "width"),
    "parameters": (["few"], "'few' is not a number of parameters"), "optimiser": (["sgd"], "optimiser must be one of"),
    "rate": ([0], "rate 0.0 is out of range: above 0"), "steps": (2.5, "steps must be a whole number"),
    "batch-size": (-1, "batch-size -1"), "stop-at": (1.5, "stop-at 1.5 is out of range"),
    "evaluate-every": (0, "evaluate-every 0"), "start-n": (9, "start-n 9 is above --n 3"),
    "examples": (0, "examples 0"), "contexts": (3, "contexts 3"), "queries": (0, "queries 0"),
    "candidate": (["no-learner"], "no-learner"),
    "dataset": (["no-texts"], "no-texts"), "demonstrations": (0, "demonstrations 0"),
    "rates": ("fast", "'fast' is not a list of numbers"), "choose-on": ("both", "choose-on must be one of"),
    "best-seed": ("perhaps", "best-seed must be true or false"), "too-many": ("keep", "too-many must be one of"),
    "too-long": ("keep", "too-long must be one of"), "separator": ("blank", "separator must be one of"),
    "controls": ("perhaps", "controls must be true or false"),
    "start-points": (True, "start-points must be a whole number"), "test": (["no-task"], "no-task"),
}  # fmt: skip
CASES = [("eval", EVALUATION, key) for key in (*EVALUATION_AXES, *KINDS["eval"].settings)]
CASES += [("identify", IDENTIFICATION, key) for key in (*EVALUATION_AXES, *KINDS["identify"].settings)]
CASES += [("finetune-vs-icl", COMPARISON, key) for key in (*COMPARISON_AXES, *COMPARISON_SETTINGS)]
CASES += [("train", TRAINING, key) for key in (*TRAINING_AXES, *TRAINING_SETTINGS)]


@pytest.mark.parametrize(("kind", "suite", "key"), CASES)
def test_a_wrong_value_is_refused(kind, suite, key, tmp_path):
    value, words = WRONG[key]
    axes = {"train": TRAINING_AXES, "finetune-vs-icl": COMPARISON_AXES}.get(kind, EVALUATION_AXES)
    changed = {**suite, "matrix": {**suite["matrix"], key: value}} if key in axes else {**suite, key: value}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    done = run_inside("run", "mine.yaml", "--out", "runs", cwd=tmp_path)
    assert done.returncode == 2, done.stdout + done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(("suite", "key"), [(EVALUATION, "mode"), (TRAINING, "steps")])
def test_so_is_one_in_an_override(suite, key, tmp_path):
    changed = {**suite, "overrides": [{"when": {"n": 3}, key: WRONG[key][0]}]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed))
    done = run_inside("run", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.yaml, line" in done.stderr
    assert "in an override" in done.stderr


def test_and_a_key_that_nothing_reads(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**EVALUATION, "pionts": 4}))
    done = run_inside("run", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "pionts" in done.stderr


@pytest.mark.parametrize("when", [{"n": 33}, {"task": "majority"}])
def test_and_an_override_that_never_holds(when, tmp_path):
    changed = {**EVALUATION, "overrides": [{"when": when, "points": 3}]}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(changed))
    done = run_inside("run", "mine.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "is not on the axis" in done.stderr


def test_a_number_written_as_text_is_that_number():
    settings = {**EVALUATION, "matrix": {**EVALUATION["matrix"], "n": ["3", "4"]}}
    card = parse_card(yaml.safe_dump({**settings, "overrides": [{"when": {"n": "4"}, "points": 3}]}), "mine.yaml")
    suite = load_suite("mine", card)
    assert suite.matrix.axes["n"] == [3, 4]
    assert [suite.matrix.settings_at({"n": n})["points"] for n in (3, 4)] == [4, 3]


def test_a_training_suite_whose_evaluation_would_fail_is_refused_before_training(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**TRAINING, "problems": 10**9}))
    done = run_inside("run", "mine.yaml", "--out", "runs", cwd=tmp_path)
    assert done.returncode == 2
    assert "suite 'mine', evaluation on parity" in done.stderr
