"""Candidates of a task, and probes with their answers."""

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.experiments.candidates import KERNELS, algorithms, probed
from llm_icl.learners import learner_of
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems


def load(text):
    return load_task(parse_specs([text])[0])


def names_of(task, n=5):
    return [algorithm.name for algorithm in algorithms(load(task), n)]


def test_the_candidates_of_a_task_are_those_that_apply():
    assert {"elimination", "bayes-labels", "bayes-labels:task=disjunction"} <= set(names_of("conjunction"))
    assert "bayes-labels:task=conjunction" not in names_of("conjunction")
    assert "gaussian-elimination" not in names_of("conjunction")
    assert {"gaussian-elimination", "bayes-labels:task=majority"} <= set(names_of("sparse-parity"))
    assert "elimination" not in names_of("majority")
    assert "bayes-labels" not in names_of("halfspace")  # infinitely many functions
    assert not any("task=conjunction" in name for name in names_of("majority", n=10))  # 59,049 functions
    assert {"bayes", "bayes-labels"} <= set(names_of("conjunction"))  # its planted points tell about the function
    assert "bayes" not in names_of("majority")
    assert len(set(names_of("conjunction"))) == len(names_of("conjunction")) >= 13


def test_the_kernel_vote_is_a_family_unless_its_options_are_given():
    family, one = algorithms(load("majority"), 5, ["kernel-vote", "kernel-vote:tau=2"])
    assert family.variants == KERNELS
    assert family.represented().variants == (KERNELS[0], KERNELS[len(KERNELS) // 2], KERNELS[-1])
    assert one.represented() == one
    assert one.variants == ("kernel-vote:tau=2",)


@pytest.mark.parametrize("name", ["nearest", "elimination", "nearest-neighbour:k=0"])
def test_a_candidate_that_is_unknown_or_does_not_apply_is_refused(name):
    with pytest.raises(RequestError):
        algorithms(load("majority"), 5, [name])


@pytest.mark.parametrize("search", [True, False])
def test_probes_are_unseen_and_have_the_candidates_answers(search):
    task = load("conjunction")
    chosen = algorithms(task, 4, ["nearest-neighbour", "averaging", "bayes-labels", "kernel-vote"])
    problems = draw_problems(task, 4, 6, 7)
    design = probed(problems, (2, 6), 5, chosen, search=search)
    assert design.shape == (2, 7, 5)
    assert design.names == ["nearest-neighbour", "averaging", "bayes-labels", "kernel-vote"]
    for m, size in enumerate((2, 6)):
        np.testing.assert_array_equal(design.xs[m], problems.xs[:, :size])
        np.testing.assert_array_equal(design.shown[m], problems.shown[:, :size])
        for c in range(7):
            asked = {tuple(x) for x in design.queries[m, c].tolist()}
            assert len(asked) == 5
            assert not asked & {tuple(x) for x in problems.xs[c, :size].tolist()}
        for candidate, algorithm in zip(design.candidates, chosen, strict=True):
            for v, name in enumerate(algorithm.variants):
                answers = learner_of(parse_specs([name])[0]).answer_queries(problems.prefix(size), design.queries[m])
                np.testing.assert_array_equal(candidate.probability[v, m] > 0.5, answers.prediction == 1)


def test_searched_probes_tell_more_than_random_ones():
    task = load("conjunction")
    chosen = algorithms(task, 7, ["nearest-neighbour", "bayes-labels"])
    problems = draw_problems(task, 7, 10, 20)

    def disagreement(search):
        first, second = probed(problems, (5, 10), 8, chosen, search=search).candidates
        return ((first.probability > 0.5) != (second.probability > 0.5)).mean()

    assert disagreement(True) > 3 * disagreement(False) > 0


def test_many_probes_of_a_context_are_all_different():
    some = algorithms(load("conjunction"), 9, ["nearest-neighbour", "averaging"])
    design = probed(draw_problems(load("conjunction"), 9, 5, 2), [5], 300, some)
    assert [len(np.unique(queries, axis=0)) for queries in design.queries[0]] == [300, 300]


def test_candidates_of_one_bit_are_those_that_one_bit_allows():
    assert "bayes-labels" in names_of("conjunction", n=1)
    assert "bayes-labels:task=sparse-parity" not in names_of("conjunction", n=1)


def test_there_are_no_more_probes_than_inputs():
    problems = draw_problems(load("majority"), 2, 9, 3)
    design = probed(problems, (9,), 8, algorithms(load("majority"), 2))
    assert design.shape == (1, 3, 4)
    assert all(len({tuple(x) for x in design.queries[0, c].tolist()}) == 4 for c in range(3))


@pytest.mark.parametrize("name", ["bayes", "bayes:limit=4096"])
def test_who_knows_of_lessons_is_not_asked_queries_of_choice(name):
    """Where every problem is taught, another query in the midst of a lesson has probability 0."""
    task = load("conjunction:teaching=1")
    assert "bayes" not in names_of("conjunction:teaching=1")
    assert "bayes" in [each.name for each in algorithms(task, 5, searched=False)]
    with pytest.raises(RequestError, match="begin with a lesson, in which other queries are impossible"):
        algorithms(task, 5, [name, "averaging"])
    assert algorithms(task, 5, ["bayes:task=majority"])
