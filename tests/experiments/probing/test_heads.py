"""What heads score: by hand, perfect heads, uniform attention, and plain loops over everything."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.experiments.probing.heads import mass, nearest_points, uniform_mass

BITS = {word: [int(bit) for bit in word] for word in ("000", "001", "010", "011", "101", "110", "111")}


def points(*words):
    return np.array([BITS[word] for word in words], dtype=np.uint8)


def targets_by_row(mask):
    return [np.flatnonzero(row).tolist() for row in mask]


def label_tokens(m):
    """Queries and labels of m points that take a token each, as a network has them."""
    return 2 * np.arange(m), 2 * np.arange(m) + 1


def uniform(tokens):
    return np.tril(np.ones((1, tokens, tokens))) / np.arange(1, tokens + 1)[:, None]


def looking_at(tokens, where):
    """A head that attends from each query to some tokens, to them alike, and elsewhere to its first token."""
    weights = np.zeros((1, tokens, tokens))
    weights[0, :, 0] = 1
    for query, seen in where.items():
        weights[0, query] = 0
        weights[0, query, seen] = 1 / len(seen)
    return weights


# --- by hand ---


def copies_of(several, copies):
    """The targets of a sequence of different points that is repeated."""
    base = np.arange(several, dtype=np.uint8)[:, None] >> np.arange(4) & 1
    return nearest_points(np.tile(base, (copies, 1)), several)


def test_a_query_of_a_repeated_sequence_has_its_earlier_copies():
    assert targets_by_row(copies_of(2, 3)) == [[], [], [0], [1], [0, 2], [1, 3]]
    assert targets_by_row(copies_of(1, 3)) == [[], [0], [0, 1]]
    assert targets_by_row(copies_of(3, 1)) == [[], [], []]


def test_equal_points_within_a_sequence_that_is_repeated_are_copies_of_each_other():
    """No head could tell them apart by what they are."""
    xs = points("000", "011", "000", "000", "011", "000")
    assert targets_by_row(nearest_points(xs, 3)) == [[], [], [], [0, 2], [1], [0, 2, 3]]


def test_all_points_that_are_equally_near_are_the_nearest():
    xs = points("000", "011", "001", "010", "000", "111")
    assert targets_by_row(nearest_points(xs, 0)) == [[], [0], [0, 1], [0, 1], [0], [1]]


def test_queries_before_the_start_have_no_nearest_points():
    xs = points("000", "011", "001", "010", "000", "111")
    assert targets_by_row(nearest_points(xs, 3)) == [[], [], [], [0, 1], [0], [1]]


def test_a_point_seen_before_is_nearest_in_all_its_copies():
    xs = points("101", "000", "101", "111", "101")
    assert targets_by_row(nearest_points(xs, 2)) == [[], [], [0], [0, 2], [0, 2]]


def test_the_attention_to_the_labels_of_all_targets_is_summed_and_averaged_over_queries_that_have_any():
    queries, labels = label_tokens(3)
    targets = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0]], dtype=bool)
    weights = np.zeros((2, 6, 6))
    weights[0, 2, :3] = 0.25, 0.5, 0.25  # the label of point 0 is token 1
    weights[0, 4, :5] = 0.1, 0.125, 0.2, 0.125, 0.45  # labels 0 and 1 are tokens 1 and 3
    weights[1, 2, :3] = 0, 0, 1
    weights[1, 4, :5] = 0, 1, 0, 0, 0
    assert mass(weights, queries, labels, targets).tolist() == [(0.5 + 0.25) / 2, (0 + 1) / 2]
    assert uniform_mass(queries, targets) == pytest.approx((1 / 3 + 2 / 5) / 2)


def test_a_last_label_that_is_not_in_the_sequence_counts_for_nothing():
    """A language model's sequence ends before the last label; the token in its place is not taken for it."""
    queries, labels = np.array([1, 4]), np.array([2, 5])
    targets = np.array([[0, 0], [1, 0]], dtype=bool)
    weights = np.zeros((1, 5, 5))
    weights[0, 4] = 0.1, 0.1, 0.3, 0.1, 0.4
    assert mass(weights, queries, labels, targets).tolist() == [0.3]


# --- perfect heads, and one that sees nothing ---


@pytest.mark.parametrize("among", ["first", "last", "all"])
def test_a_perfect_induction_head_scores_one_whichever_copy_it_looks_at(among):
    several, copies = 3, 4
    queries, labels = label_tokens(several * copies)
    where = {}
    for k in range(several, several * copies):
        earlier = [2 * j + 1 for j in range(k) if j % several == k % several]
        where[2 * k] = {"first": earlier[:1], "last": earlier[-1:], "all": earlier}[among]
    weights = looking_at(2 * several * copies, where)
    assert mass(weights, queries, labels, copies_of(several, copies)) == pytest.approx([1], abs=1e-15)


def test_a_head_that_looks_at_the_copy_itself_and_not_at_its_label_scores_nothing():
    queries, labels = label_tokens(6)
    weights = looking_at(12, {2 * k: [2 * (k % 2)] for k in range(2, 6)})
    assert mass(weights, queries, labels, copies_of(2, 3)).tolist() == [0]


@pytest.mark.parametrize("among", ["first", "last", "all"])
def test_a_perfect_nearest_neighbour_head_scores_one_also_where_several_are_equally_near(among):
    xs = points("000", "011", "101", "110", "111", "000", "001", "010")
    queries, labels = label_tokens(len(xs))
    where = {}
    for k in range(4, len(xs)):
        apart = [int((xs[k] != xs[j]).sum()) for j in range(k)]
        near = [2 * j + 1 for j in range(k) if apart[j] == min(apart)]
        where[2 * k] = {"first": near[:1], "last": near[-1:], "all": near}[among]
    assert max(len(seen) for seen in where.values()) == (4 if among == "all" else 1)
    weights = looking_at(2 * len(xs), where)
    assert mass(weights, queries, labels, nearest_points(xs, 4)) == pytest.approx([1], abs=1e-15)


def test_uniform_attention_scores_the_uniform_mass():
    queries, labels = label_tokens(12)
    xs = np.random.default_rng(0).integers(0, 2, (12, 3), dtype=np.uint8)
    for targets in (copies_of(3, 4), copies_of(6, 2), nearest_points(xs, 6), nearest_points(xs, 0)):
        found = mass(uniform(24), queries, labels, targets)
        assert found == pytest.approx([uniform_mass(queries, targets)], abs=1e-12)


# --- plain loops ---


@st.composite
def sequences(draw):
    """Points, and the tokens that their queries and labels stand at: as far apart as in a prompt."""
    m, n = draw(st.integers(2, 7)), draw(st.integers(1, 4))
    xs = np.array(draw(st.lists(st.lists(st.integers(0, 1), min_size=n, max_size=n), min_size=m, max_size=m)))
    gaps = draw(st.lists(st.integers(2, 4), min_size=m, max_size=m))
    labels = np.cumsum(gaps)
    weights = np.random.default_rng(draw(st.integers(0, 2**32 - 1))).dirichlet(np.ones(labels[-1]), (2, labels[-1]))
    return xs.astype(np.uint8), labels - 1, labels, weights


@given(sequences(), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_nearest_neighbour_scores_are_those_of_plain_loops(sequence, start):
    xs, queries, labels, weights = sequence
    start = min(start, len(xs) - 1)
    for head in range(2):
        sums, uniforms = [], []
        for k in range(max(start, 1), len(xs)):
            apart = [sum(a != b for a, b in zip(xs[k].tolist(), xs[j].tolist(), strict=True)) for j in range(k)]
            near = [j for j in range(k) if apart[j] == min(apart)]
            sums.append(sum(weights[head, queries[k], labels[j]] for j in near))
            uniforms.append(len(near) / (queries[k] + 1))
        targets = nearest_points(xs, start)
        assert mass(weights, queries, labels, targets)[head] == pytest.approx(sum(sums) / len(sums), abs=1e-12)
        assert uniform_mass(queries, targets) == pytest.approx(sum(uniforms) / len(uniforms), abs=1e-12)


@given(st.integers(1, 4), st.integers(2, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_induction_scores_are_those_of_plain_loops(several, copies, seed):
    m = several * copies
    queries, labels = label_tokens(m)
    weights = np.random.default_rng(seed).dirichlet(np.ones(2 * m), (1, 2 * m))
    sums = []
    for copy in range(1, copies):
        for point in range(several):
            query = 2 * (copy * several + point)
            sums.append(sum(weights[0, query, 2 * (c * several + point) + 1] for c in range(copy)))
    found = mass(weights, queries, labels, copies_of(several, copies))
    assert found[0] == pytest.approx(sum(sums) / len(sums), abs=1e-12)
