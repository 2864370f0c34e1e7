"""A suite at another scale, and what it costs there."""

import pytest
import torch
import yaml

from llm_icl.config.cards import parse_card
from llm_icl.errors import RequestError
from llm_icl.suites.cards import find_suite, suite_names
from llm_icl.suites.comparisons import matrix_of
from llm_icl.suites.costs import costs_of
from llm_icl.suites.evaluations import Places, cells_of, load_suite
from llm_icl.suites.published import claims_of
from llm_icl.suites.scales import scaled
from llm_icl.suites.trainings import load_training_suite
from tests.inside import run_inside

SMALL = {
    "kind": "train",
    "matrix": {"architecture": ["gru"], "task": ["parity", "dnf"], "n": [3], "width": [8], "layers": [1]},
    "points": 4, "steps": 3, "batch-size": 2, "problems": 2, "learner": "averaging",
    "overrides": [{"when": {"task": "dnf"}, "learner": ["nearest-neighbour"]}],
    "scales": {"paper": {"matrix": {"n": [5], "width": [16]}, "steps": 7}},
}  # fmt: skip


def card_of(fields):
    return parse_card(yaml.safe_dump(fields), "own.yaml")


def test_a_scale_replaces_keys_and_axes_and_leaves_the_others():
    small, paper = (load_training_suite("own", scaled(card_of(SMALL), scale)) for scale in ("laptop", "paper"))
    for suite, n, width, steps in ((small, 3, 8, 3), (paper, 5, 16, 7)):
        for cell in suite.cells:
            request = cell.request
            assert (request.n, request.shape.width, request.schedule.steps) == (n, width, steps)
            assert (request.points, request.batch) == (4, 2)
        assert [str(spec) for spec in suite.learners_of("parity", n)] == ["averaging"]
        assert [str(spec) for spec in suite.learners_of("dnf", n)] == ["nearest-neighbour"]
    assert small.records() != paper.records()  # folders of their own


def test_a_suite_without_scales_is_one_for_a_laptop():
    plain = {key: value for key, value in SMALL.items() if key != "scales"}
    assert scaled(card_of(plain), "laptop").fields == scaled(card_of(SMALL), "laptop").fields == plain
    with pytest.raises(RequestError, match="no scale 'paper': known are laptop"):
        scaled(card_of(plain), "paper")


@pytest.mark.parametrize(
    ("scales", "words"),
    [
        (["paper"], "'scales' must name scales"),
        ({"paper": 3}, "'scales' must name scales"),
        ({"papers": {}}, "no scale 'paper': did you mean 'papers'"),
        ({1: {}}, "no scale 'paper': known are laptop, 1"),
        ({"laptop": {"steps": 2}}, "the scale 'laptop' is the card itself"),
        ({"paper": {"kind": "eval"}}, "a scale cannot change the 'kind'"),
        ({"paper": {"matrix": [3]}}, "'matrix' of the scale 'paper' must give lists"),
        ({"paper": {"tempo": 3}}, "unknown field 'tempo'"),
        ({"paper": {"matrix": {"depth": [1]}}}, "unknown axis 'depth'"),
        ({"paper": {"steps": 0}}, "steps 0"),
    ],
)
def test_a_wrong_scale_is_one_clear_line(tmp_path, scales, words):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SMALL | {"scales": scales}, sort_keys=False))
    done = run_inside("run", "own.yaml", "--scale", "paper", "--out", "runs", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stdout + done.stderr
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_the_learner_of_a_task_depends_on_nothing_else():
    wrong = SMALL | {"overrides": [{"when": {"width": 8}, "learner": "averaging"}]}
    with pytest.raises(RequestError, match="'learner' can be overridden for a task and an n only"):
        load_training_suite("own", scaled(card_of(wrong), "laptop"))


@pytest.mark.parametrize("name", sorted(suite_names()))
def test_shipped_suites_are_whole_at_every_scale_and_their_claims_meet_what_they_ask(name):
    name, card = find_suite(name)
    claims = claims_of(card)
    for scale in ("laptop", *card.fields.get("scales", {})):
        at_scale = scaled(card, scale)
        if at_scale.fields.get("kind") == "finetune-vs-icl":
            matrix_of(at_scale)
            continue
        if at_scale.fields.get("kind") == "train":
            suite = load_training_suite(name, at_scale)
            tasks = {(test.name, cell.request.n) for cell in suite.cells for test in cell.request.tests}
            networks = {cell.label for cell in suite.cells}
            classical = {str(spec) for task in tasks for spec in suite.learners_of(*task) or ()}
        else:
            cells = cells_of(load_suite(name, at_scale), Places())
            requests = [cell.experiment.request for cell in cells]
            tasks = {(task.name, n) for request in requests for task in request.tasks for n in request.ns}
            networks, classical = {"models"}, {"nearest-neighbour", "best-constant", "bayes"}
        if scale == "laptop":
            for claim in claims:
                assert set(claim.tasks) & {task for task, _ in tasks}
                assert not claim.ns or set(claim.ns) & {n for _, n in tasks}
                assert set(claim.first) <= networks
                assert set(claim.second) <= networks | classical


def test_costs_are_those_of_a_step_computed_by_hand():
    """A network with one layer whose parts are counted by hand; memory grows with the batch by what is kept for it."""
    one, two = (
        costs_of(load_training_suite("own", scaled(card_of(SMALL | {"batch-size": batch}), "laptop")).cells)
        for batch in (2, 4)
    )
    suite = load_training_suite("own", scaled(card_of(SMALL), "laptop"))
    from llm_icl.networks.shapes import build
    from local_models.counting import flops_per_sequence

    model = build(suite.cells[0].request.shape, 0)
    own = sum(parameter.numel() for parameter in model.parameters())
    assert one[0].parameters == own
    assert one[0].flops == flops_per_sequence(model, 8) * 2 * 3
    assert two[0].flops == 2 * one[0].flops
    kept = two[0].memory - one[0].memory  # of two sequences more
    assert one[0].memory == 16 * own + kept
    outputs = model(torch.zeros(1, 8, model.shape.inputs))
    assert kept / 2 >= 4 * outputs.numel() * model.shape.width  # at least the input of the read-out


def test_a_dry_run_says_what_it_costs(tmp_path):
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SMALL))
    small, paper = (
        run_inside("run", "own.yaml", "--scale", scale, "--dry-run", cwd=tmp_path) for scale in ("laptop", "paper")
    )
    assert "in all: 6 steps" in small.stdout
    assert "in all: 14 steps" in paper.stdout
    assert "guesses for one GPU" in paper.stdout
