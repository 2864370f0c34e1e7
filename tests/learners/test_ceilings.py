"""Which learners are ceilings, and that no learner is above one; `make ceilings` is the whole test."""

import dataclasses

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.learners import learner_of
from llm_icl.learners.ceilings import (
    CEILING,
    CONTROL,
    FUNCTION,
    HINDSIGHT,
    LEARNER,
    MEANINGS,
    REFERENCE,
    ceiling_of,
    inputs_are_informative,
    notes_on,
    single_function,
    standing,
)
from llm_icl.problems import SHUFFLED
from llm_icl.tasks.cards import task_names
from llm_icl.tasks.drawing import draw_problems
from tests.simulations.ceilings import SLOW, beaten, cell, holm, learner_names, load, miscalibrated, tasks, z_of


def answers(learner, problems):
    return learner_of(parse_specs([learner])[0]).answer(problems)


TAUGHT = ("conjunction", "disjunction", "monotone-conjunction", "monotone-dnf", "monotone-cnf", "sparse-parity")
FAST = [name for name in learner_names() if name.partition(":")[0] not in SLOW]


@pytest.mark.parametrize(
    ("learner", "task", "expected"),
    [
        ("bayes", "parity", CEILING),
        ("bayes-labels", "parity", CEILING),
        ("bayes-labels", "parity:bias=0.9,noise=0.2,drop-constant=true", CEILING),
        ("bayes-labels", "conjunction:planted=0", CEILING),
        ("bayes-labels:limit=100000", "nearest-neighbour", CEILING),
        ("bayes-labels", "conjunction", REFERENCE),
        ("bayes-labels:limit=100000", "conjunction:planted=0,teaching=0.1", REFERENCE),
        ("bayes", "conjunction:teaching=1", CEILING),
        ("bayes", "expr: x1 ^ x2", FUNCTION),
        ("bayes-labels", "table: 01101001", FUNCTION),
        ("bayes-labels", "sparse-disjunction:k=3", FUNCTION),
        ("best-constant", "parity", HINDSIGHT),
        (f"bayes{SHUFFLED}", "parity", CONTROL),
        ("majority-label", "parity", LEARNER),
        ("gpt-4.1", "conjunction", LEARNER),
    ],
)
def test_the_standing_of_a_learner(learner, task, expected):
    assert standing(learner, load(task), 3) == expected
    assert expected in MEANINGS


@pytest.mark.parametrize(
    ("text", "n", "expected"),
    [
        ("expr: x1 & ~x2", 9, True),
        ("table: 0110", 2, True),
        ("sparse-parity:k=5", 5, True),
        ("sparse-parity:k=5", 6, False),
        ("conjunction:positive=1,negative=0", 12, True),
        ("conjunction:positive=1,negative=0,noise=0.1,bias=0.2", 12, True),
        ("parity", 1, False),
        ("parity:drop-constant=true", 1, True),
        ("parity:drop-constant=true", 2, False),
        ("monotone-dnf:drop-constant=true", 1, True),
        ("monotone-dnf", 1, False),
        ("majority:relevant=1", 5, True),
        ("threshold:positive=1,negative=0,drop-constant=true", 1, True),
        ("integer-halfspace:bound=1000000", 2, False),
        ("halfspace", 1, False),
        ("halfspace", 20, False),
        ("nearest-neighbour", 1, False),
    ],
)
def test_tasks_of_one_function(text, n, expected):
    assert single_function(load(text), n) == expected


def test_the_ceiling_among_learners():
    task, plain = load("conjunction"), load("conjunction:planted=0")
    assert inputs_are_informative(task)
    assert not inputs_are_informative(plain)
    assert ceiling_of(["elimination", "bayes-labels", "bayes"], task, 3) == "bayes"
    assert ceiling_of(["elimination", "bayes-labels"], task, 3) == ""
    assert ceiling_of(["elimination", "bayes-labels:limit=9"], plain, 3) == "bayes-labels:limit=9"
    assert ceiling_of(["bayes-labels", "best-constant"], load("expr: x1"), 3) == "bayes-labels"


def test_notes_name_what_the_learners_of_a_task_are():
    names = ["perceptron", "bayes", "bayes-labels", "best-constant", "gpt-4.1", f"gpt-4.1{SHUFFLED}"]
    assert notes_on(names, [load("conjunction"), load("parity"), load("halfspace")], [3, 4]) == [
        "bayes is the ceiling on conjunction (n = 3), conjunction (n = 4), parity (n = 3), parity (n = 4), "
        f"halfspace (n = 3): {MEANINGS[CEILING]}.",
        f"bayes-labels is a reference on conjunction (n = 3), conjunction (n = 4): {MEANINGS[REFERENCE]}.",
        f"bayes-labels is the ceiling on parity (n = 3), parity (n = 4), halfspace (n = 3): {MEANINGS[CEILING]}.",
        f"best-constant is fitted in hindsight on all tasks: {MEANINGS[HINDSIGHT]}.",
    ]


@pytest.mark.parametrize("card", task_names())
def test_every_card_is_simulated_with_every_option_that_it_has(card):
    planted = load(card).planted > 0
    taught = card.removesuffix("-llm") in TAUGHT
    texts = list(tasks(card, 5))
    assert len(set(texts)) == 1 + sum(range(1, 1 + 2 + planted + taught))
    assert all(load(text).planted in (0, 0.4) for text in texts)


# n and points at which all learners answer 2,000 problems in about a second.
@pytest.mark.parametrize(
    ("card", "n", "points"), [("conjunction", 3, 10), ("sparse-parity", 4, 10), ("cnf:terms=2", 2, 8)]
)
def test_no_learner_is_above_the_ceiling(card, n, points):
    cells = [cell(text, n, points, FAST) for text in tasks(card, n)]
    assert beaten(cells, 1e-3) == []
    assert miscalibrated(cells, 1e-3) == []
    for one in cells:
        assert {"majority-label", "winnow", "decision-tree", "always 1"} <= set(one["gains"])
        assert {"bayes", "best-constant"}.isdisjoint(one["gains"])
        assert ("bayes-labels" in one["gains"]) == inputs_are_informative(load(one["task"]))


def test_slow_learners_are_not_above_the_ceiling_either():
    names = [name for name in learner_names() if name not in FAST]
    cells = [cell(text, 3, 8, names, problems=100) for text in ("disjunction:teaching=0.5", "threshold:noise=0.1")]
    assert beaten(cells) == []
    assert {name.partition(":")[0] for name in names} == {"logistic", "feed-forward"}
    assert all(set(one["gains"]) == set(names) for one in cells)


def test_a_learner_above_its_reference_is_found():
    """After a teaching sequence, elimination is above the exact Bayes that takes the inputs as given."""
    one = cell("conjunction:teaching=1", 5, 16, ["elimination", "bayes-labels"], problems=500)
    assert beaten([one]) == []
    assert beaten([one | {"gains": one["gains_over_labels"]}]) != []
    assert one["gains_over_labels"]["elimination"][0] > 3


def test_a_wrong_prior_is_found():
    drawn = draw_problems(load("conjunction"), 4, 12, 2000)
    for believed, found in (("conjunction", False), ("conjunction:positive=0.25", True)):
        probability = answers("bayes", dataclasses.replace(drawn, task=load(believed))).probability
        calibration = [z_of((drawn.ys - probability).mean(axis=1))]
        assert bool(miscalibrated([{"task": believed, "n": 4, "calibration": calibration}])) == found


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.5]) == [1.0, 1.0]


def test_standard_errors_of_values_that_are_all_the_same():
    assert z_of(np.zeros(5)) == 0
    assert z_of(np.full(5, 0.1)) == np.inf
    assert z_of(np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx(0.5 / (np.std([1, 0, 1, 0], ddof=1) / 2))
