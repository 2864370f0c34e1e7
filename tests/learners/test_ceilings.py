"""Which learners are ceilings, and that no learner is above one; `make ceilings` is the whole test."""

import numpy as np
import pytest

from llm_icl.learners import learners
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
from tests.simulations.ceilings import SLOW, beaten, cell, holm, learner_names, load, miscalibrated, tasks, z_of

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
    notes = notes_on(["bayes", "bayes-labels", "best-constant", "perceptron"], [load("conjunction"), load("parity")], [3, 4])
    assert notes == [
        f"bayes is the ceiling on conjunction, parity: {MEANINGS[CEILING]}.",
        f"bayes-labels is a reference on conjunction: {MEANINGS[REFERENCE]}.",
        f"bayes-labels is the ceiling on parity: {MEANINGS[CEILING]}.",
        f"best-constant is fitted in hindsight: {MEANINGS[HINDSIGHT]}.",
    ]


@pytest.mark.parametrize("card", task_names())
def test_every_card_is_simulated_with_every_option_that_it_has(card):
    count = {"halfspace": 3}.get(card, 5)
    assert len(set(tasks(card, count))) == len(list(tasks(card, count)))
    assert {4, 7, 11} >= {len(list(tasks(card, count)))}
