"""Many queries behind one context: the answers are those at that position, for every learner and option."""

import dataclasses
import itertools

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.learners import learner_of, learners
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

NAMES = [
    *sorted(set(dict(learners.items())) - {"best-constant", "feed-forward"}),
    "always:label=0",
    "kernel-vote:tau=0.5,decay=0.7",
    "kernel-vote:tau=0.01,decay=0.01",
    *(
        f"elimination:target={t}"
        for t in ("conjunction", "disjunction", "monotone-conjunction", "monotone-disjunction")
    ),
    *(
        f"nearest-neighbour:k={k},metric={metric},tie={tie}"
        for k, metric, tie in itertools.product((1, 3, 20), ("hamming", "cosine"), ("earliest", "latest", "vote"))
    ),
    "bayes-labels:task=disjunction",
    "bayes:task=majority",
    "logistic:c=0.1",
    "feed-forward:hidden=20,steps=15",
]
TASKS = [
    "conjunction",
    "conjunction:noise=0.1,teaching=0.5,drop-constant=true",
    "disjunction:planted=0,bias=0.3",
    "majority",
    "sparse-parity",
    "parity:drop-constant=true",
    "nearest-neighbour:start=4",
]


def load(text):
    return load_task(parse_specs([text])[0])


def asked(task, m, n=4, count=5, queries=6, seed=0):
    """Contexts of m examples, and queries: the points that follow in the same problems, and random ones."""
    problems = draw_problems(load(task), n, max(m, 1) + 3, count, seed)
    contexts = dataclasses.replace(problems, xs=problems.xs[:, :m], ys=problems.ys[:, :m], shown=problems.shown[:, :m])
    drawn = np.random.default_rng(m).integers(0, 2, (count, queries - 3, n), dtype=np.uint8)
    return contexts, np.concatenate([problems.xs[:, -3:], drawn], axis=1)


@pytest.mark.parametrize("name", NAMES)
def test_queries_behind_a_context_are_answered_as_at_that_position(name):
    learner = learner_of(parse_specs([name])[0])
    compared = 0
    for task, m in itertools.product(TASKS, (0, 1, 2, 5, 9)):
        if learner.refusal(load(task), 4):
            continue
        contexts, queries = asked(task, m)
        together = learner.answer_queries(contexts, queries)
        assert together.prediction.shape == queries.shape[:2]
        for q in range(queries.shape[1]):
            unknown = np.zeros((len(contexts), 1), dtype=np.uint8)
            problems = dataclasses.replace(
                contexts,
                xs=np.concatenate([contexts.xs, queries[:, q : q + 1]], axis=1),
                ys=np.concatenate([contexts.ys, unknown], axis=1),
                shown=np.concatenate([contexts.shown, unknown], axis=1),
            )
            alone = learner.answer(problems)
            np.testing.assert_allclose(together.probability[:, q], alone.probability[:, m], atol=1e-6)
            np.testing.assert_array_equal(together.prediction[:, q], alone.prediction[:, m])
            compared += 1
    assert compared > 0


@pytest.mark.parametrize("name", NAMES)
def test_answers_at_some_positions_are_those_at_all(name):
    learner = learner_of(parse_specs([name])[0])
    some = np.array([0, 3, 4, 11])
    for task in (task for task in TASKS if not learner.refusal(load(task), 4)):
        problems = draw_problems(load(task), 4, 12, 6, seed=1)
        here, everywhere = learner.answer_at(problems, some), learner.answer(problems)
        np.testing.assert_allclose(here.probability, everywhere.probability[:, some], atol=1e-6)
        np.testing.assert_array_equal(here.prediction, everywhere.prediction[:, some])


@pytest.mark.parametrize("task", ["conjunction", "disjunction", "conjunction-llm:drop-constant=true"])
@pytest.mark.parametrize("name", ["bayes", "bayes-labels"])
def test_exact_bayes_by_counting_answers_queries_as_at_that_position(name, task):
    learner = learner_of(parse_specs([name])[0])
    one_label = set()
    for m in (0, 1, 4, 12):
        contexts, queries = asked(task, m, n=10)
        one_label |= {len(set(shown)) for shown in contexts.shown.tolist() if m}
        alone = learner.answer(contexts.followed_by(queries)).probability[:, m].reshape(queries.shape[:2])
        np.testing.assert_allclose(learner.answer_queries(contexts, queries).probability, alone, atol=1e-12)
    assert one_label == {1, 2}  # counting goes another way until an informative example comes


def test_no_contexts_and_no_queries_give_no_answers():
    contexts, queries = asked("conjunction", 5)
    for name in ("nearest-neighbour", "kernel-vote", "averaging", "perceptron", "majority-label", "bayes-labels"):
        learner = learner_of(parse_specs([name])[0])
        assert learner.answer_queries(contexts, queries[:, :0]).probability.shape == (5, 0)


def test_the_best_constant_needs_the_truth():
    with pytest.raises(RequestError, match="true labels"):
        learner_of(parse_specs(["best-constant"])[0]).answer_queries(*asked("conjunction", 5))


def test_the_shown_labels_are_what_queries_are_answered_from():
    contexts, queries = asked("majority", 9)
    flipped = dataclasses.replace(contexts, shown=1 - contexts.shown)
    for name in ("nearest-neighbour", "perceptron", "kernel-vote", "last-label"):
        learner = learner_of(parse_specs([name])[0])
        changed = (
            learner.answer_queries(flipped, queries).prediction != learner.answer_queries(contexts, queries).prediction
        )
        assert changed.mean() > 0.6


def test_behind_the_first_points_of_a_problem_bayes_knows_how_many_were_drawn():
    """Lessons that are longer than what is left of a problem could be taught when it was drawn."""
    problems = draw_problems(load("conjunction:teaching=0.5"), 4, 15, 60, 0)
    whole = learner_of(parse_specs(["bayes"])[0]).answer(problems).probability
    for m in (1, 2, 4):
        behind = learner_of(parse_specs(["bayes"])[0]).answer_queries(problems.prefix(m), problems.xs[:, m : m + 1])
        np.testing.assert_allclose(behind.probability[:, 0], whole[:, m], atol=1e-9)
