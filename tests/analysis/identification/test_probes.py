"""Probes: searched among all inputs, unseen, distinct, and where candidates disagree."""

import itertools

import numpy as np
import pytest

from llm_icl.analysis.identification.probes import DRAWN, FLIPS, choose, information, searched


def test_all_inputs_are_searched_and_examples_are_marked():
    xs = np.array([[[0, 1, 1], [0, 1, 1], [1, 0, 0]]], dtype=np.uint8)
    inputs, unseen = searched(xs, np.array([7]), seed=0)
    assert [tuple(x) for x in inputs[0].tolist()] == list(itertools.product((0, 1), repeat=3))
    assert np.flatnonzero(~unseen[0]).tolist() == [0b011, 0b100]


def test_beyond_twelve_bits_inputs_are_drawn_by_problem():
    xs = np.random.default_rng(0).integers(0, 2, (3, 5, 13), dtype=np.uint8)
    inputs, unseen = searched(xs, np.array([4, 9, 4]), seed=1)
    assert inputs.shape == (3, DRAWN, 13)
    np.testing.assert_array_equal(inputs[0], inputs[2])
    assert (inputs[0] != inputs[1]).any()
    np.testing.assert_array_equal(searched(xs[1:2], np.array([9]), seed=1)[0][0], inputs[1])
    for c, x in itertools.product(range(3), range(0, DRAWN, 97)):
        assert unseen[c, x] == (not (inputs[c, x] == xs[c]).all(axis=-1).any())


def test_long_inputs_are_recognised_among_the_examples():
    xs = np.random.default_rng(0).integers(0, 2, (1, 6, 80), dtype=np.uint8)
    inputs, _ = searched(xs, np.array([0]), seed=0)
    again = np.concatenate([xs, inputs[:, 3:4]], axis=1)
    _, unseen = searched(again, np.array([0]), seed=0)
    assert np.flatnonzero(~unseen[0]).tolist() == [3]


def test_the_information_of_opposite_certain_candidates():
    """Answers are 1 with probability 1 - f/2 or f/2: one bit less the entropy of f/2."""
    e = FLIPS / 2
    entropy = -(e * np.log2(e) + (1 - e) * np.log2(1 - e))
    assert information(np.array([[1.0], [0.0]])).item() == pytest.approx(1 - entropy)
    assert information(np.array([[0.3], [0.3]])).item() == pytest.approx(0)


def test_the_inputs_at_which_candidates_differ_are_chosen():
    """Three candidates over 40 inputs: two differ at 5 inputs only, the third from both at 10 others."""
    random = np.random.default_rng(0)
    shared = random.integers(0, 2, (2, 12, 40)).astype(float)
    second, third = shared.copy(), shared.copy()
    second[..., :5], third[..., 5:15] = 1 - shared[..., :5], 1 - shared[..., 5:15]
    chosen = choose(np.stack([shared, second, third]), np.ones(shared.shape, dtype=bool), 6)
    assert (chosen < 15).mean() > 0.98
    assert 0.3 < (chosen < 5).mean() < 0.7  # no pair is neglected
    for row in chosen.reshape(-1, 6):
        assert len(set(row.tolist())) == 6


def test_seen_inputs_are_taken_only_where_others_are_missing():
    random = np.random.default_rng(1)
    p = random.random((4, 1, 3, 16))
    unseen = np.ones((1, 3, 16), dtype=bool)
    unseen[0, 0, :8] = False  # 8 left for 6 probes
    unseen[0, 1, :13] = False  # 3 left
    chosen = choose(p, unseen, 6)
    assert (chosen[0, 0] >= 8).all()
    assert (chosen[0, 1] >= 13).sum() == 3
    assert len(set(chosen[0, 1].tolist())) == 6


def test_the_choice_does_not_depend_on_identical_candidates_or_chance():
    p = np.random.default_rng(2).random((3, 2, 4, 20))
    unseen = np.ones((2, 4, 20), dtype=bool)
    np.testing.assert_array_equal(choose(p, unseen, 5, seed=3), choose(p, unseen, 5, seed=3))
