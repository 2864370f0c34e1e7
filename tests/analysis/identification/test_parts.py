"""Subjects that follow something in a part of their answers only, or answer a part of the questions only."""

import dataclasses

import numpy as np
import pytest

from llm_icl.analysis.identification.data import Candidate
from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.verdict import NO_ALGORITHM
from tests.analysis.identification.making import design, drawn, flips

SIZES = (3, 6, 9)


def subject(some, followed, probabilities, seed):
    """P(answer 1) or labels that follow c0 at these sizes, and are a coin or a constant at the others."""
    first = some.candidates[0].probability[0]
    coin = np.full(first.shape, 0.5)
    at = np.isin(np.arange(len(some.sizes)), followed)[:, None, None]
    if probabilities:
        return np.where(at, 0.2 + 0.6 * first, 0.4)
    return np.where(at, flips(first, 0.1, seed), drawn(coin, seed))


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("followed", [(0,), (2,), (0, 1), (1, 2)])
def test_what_is_followed_at_some_numbers_of_examples_is_not_claimed_of_all(followed, probabilities):
    for seed in range(3):
        some = design(seed, SIZES, problems=40)
        found = identify(some, subject(some, followed, probabilities, seed), probabilities=probabilities)
        expected = tuple("c0" if m in followed else NO_ALGORITHM for m in range(3))
        assert (found.verdict, found.names) == ("changes", expected)


@pytest.mark.parametrize("probabilities", [False, True])
def test_a_candidate_that_says_nothing_at_some_numbers_of_examples_is_followed_there(probabilities):
    some = design(0, SIZES, problems=40)
    first = some.candidates[0].probability[0].copy()
    first[0] = 0.5  # before it has seen enough
    some = dataclasses.replace(some, candidates=(Candidate("c0", first[None], ("c0",)), *some.candidates[1:]))
    answers = 0.1 + 0.8 * first if probabilities else drawn(0.1 + 0.8 * first)
    found = identify(some, answers, probabilities=probabilities)
    assert (found.verdict, found.names) == ("single", ("c0",))


@pytest.mark.parametrize("noise", [0.05, 0.25])
def test_an_algorithm_that_is_followed_more_loosely_at_some_is_still_one(noise):
    for seed in range(10):
        some = design(seed, SIZES, problems=40)
        first = some.candidates[0].probability[0]
        answers = np.stack([flips(first[m], share, 10 * seed + m) for m, share in enumerate((noise, 0.1, noise))])
        found = identify(some, answers, probabilities=False)
        assert (found.verdict, found.names) == ("single", ("c0",))


def test_a_coin_before_a_change_of_algorithm_is_no_part_of_a_mixture():
    some = design(0, SIZES, problems=40)
    first, second = (some.candidates[k].probability[0] for k in (0, 1))
    answers = np.stack([drawn(np.full(first[0].shape, 0.5)), first[1], second[2]])
    found = identify(some, answers, probabilities=False)
    assert (found.verdict, found.names) == ("changes", (NO_ALGORITHM, "c0", "c1"))


def test_a_mixture_after_a_coin_is_none_of_the_coin():
    for seed in range(3):
        some = design(seed, SIZES, problems=60)
        first, second = (some.candidates[k].probability[0] for k in (0, 1))
        answers = np.where(drawn(np.full(first.shape, 0.5), seed) == 1, first, second)
        answers[0] = drawn(np.full(first[0].shape, 0.5), seed + 10)
        found = identify(some, answers, probabilities=False)
        assert found.verdict == "changes"
        assert found.names[0] == NO_ALGORITHM
        assert set(found.names[1:]) <= {"a mixture of c0 and c1", "a mixture of c1 and c0"}


@pytest.mark.parametrize("every", [2, 5])
def test_problems_without_an_answer_take_no_part(every):
    some = design(0, SIZES, problems=60)
    answers = flips(some.candidates[0].probability[0], 0.15)
    answered = np.arange(60) % every == 0
    found = identify(some, np.where(answered[:, None], answers, np.nan), probabilities=False)
    alone = identify(some.of(answered), answers[:, answered], probabilities=False)
    assert found.problems == 60 // every
    assert (found.verdict, found.names, found.share) == (alone.verdict, alone.names, alone.share)
    assert found.candidates == alone.candidates


@pytest.mark.parametrize(("value", "probabilities"), [(1.0, False), (0.0, False), (0.7, True)])
def test_of_a_constant_no_share_is_explained(value, probabilities):
    some = design(problems=40)
    found = identify(some, np.full(some.shape, value), probabilities=probabilities)
    assert found.verdict == "independent"
    assert not found.share.known
    assert np.isnan(found.expected_share)
    assert not any(candidate.share.known for candidate in found.candidates)


def test_a_single_algorithm_explains_something_for_sure():
    """Few answers leave nothing that is significant, whatever they follow."""
    claims = 0
    for seed in range(40):
        some = design(seed, (5,), problems=12, queries=2, candidates=12)
        weak = drawn(0.35 + 0.3 * some.candidates[0].probability[0], seed)
        found = identify(some, weak, probabilities=False)
        claims += found.verdict == "single"
        assert found.verdict != "single" or found.share.low > 0
    assert claims <= 4
