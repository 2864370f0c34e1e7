"""Problems: the numbers they come from, what they do not depend on, and the options that every task has."""

import dataclasses
import hashlib
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.function_classes.base import all_inputs, function_class_of
from llm_icl.problems import Problems
from llm_icl.randomness import philox
from llm_icl.tasks.cards import load_task, task_names
from llm_icl.tasks.drawing import Stream, draw_problems

CARDS = sorted(task_names())
SHIPPED = (
    "cnf conjunction conjunction-llm disjunction disjunction-llm dnf full-majority halfspace integer-halfspace "
    "majority majority-llm monotone-cnf monotone-conjunction monotone-conjunction-llm monotone-dnf nearest-neighbour "
    "parity sparse-disjunction sparse-halfspace sparse-parity threshold"
).split()
WITH_OPTIONS = [
    "conjunction:noise=0.2,teaching=0.5",
    "disjunction:bias=0.3,drop-constant=true",
    "dnf:drop-constant=true",
    "monotone-dnf:teaching=1",
    "monotone-cnf:teaching=0.4,noise=0.3",
    "sparse-parity:teaching=0.5,bias=0.8",
    "parity:drop-constant=true",
    "expr: (x1 & ~x3) | x2",
]
ARRAYS = ("xs", "ys", "shown", "taught", "indices")


def load(text):
    return load_task(parse_specs([text])[0])


def by_chance(count, total, probability):
    """Whether a count is within 5 standard deviations of its expectation: wrongly false once in 1.7 million."""
    return abs(count - total * probability) <= 5 * np.sqrt(total * probability * (1 - probability)) + 1e-9


def assert_same(first, second):
    for key in ARRAYS:
        np.testing.assert_array_equal(getattr(first, key), getattr(second, key), err_msg=key)
    assert first.parameters.keys() == second.parameters.keys()
    for key, value in first.parameters.items():
        np.testing.assert_array_equal(value, second.parameters[key], err_msg=key)


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
    ],
)
def test_philox_gives_the_published_vectors(counter, key, expected):
    words = philox(tuple(np.array([int(w, 16)], np.uint64) for w in counter.split()), [int(w, 16) for w in key.split()])
    assert [f"{word:08x}" for word in words[0]] == expected.split()


@pytest.mark.parametrize("text", [*CARDS, *WITH_OPTIONS])
@settings(max_examples=12, deadline=None)
@given(
    chosen=st.lists(st.integers(0, 30), min_size=1, max_size=8),
    points=st.integers(1, 12),
    more=st.integers(0, 12),
    seed=st.integers(0, 3),
)
def test_a_problem_depends_on_its_number_and_nothing_else(text, chosen, points, more, seed):
    task = load(text)
    points += 25 if task.teaching else 0  # room for every teaching sequence
    reference = draw_problems(task, 5, points, 31, seed)
    other = draw_problems(task, 5, points + more, chosen, seed)
    first = {key: getattr(other, key)[:, :points] for key in ("xs", "ys", "shown")}
    assert_same(reference[np.array(chosen)], dataclasses.replace(other, **first))
    assert_same(reference[:7], draw_problems(task, 5, points, 7, seed))


@pytest.mark.parametrize("text", CARDS)
def test_another_seed_or_dimension_gives_other_problems(text):
    task = load(text)
    xs = draw_problems(task, 8, 6, 20, seed=0).xs
    assert (xs != draw_problems(task, 8, 6, 20, seed=1).xs).any()
    assert (xs != draw_problems(task, 9, 6, 20, seed=0).xs[..., :8]).any()


def test_test_problems_are_those_of_earlier_versions():
    """Whoever asked a model something must be able to ask the same again."""
    digest = hashlib.sha256()
    for name in SHIPPED:
        for n, seed in ((5, 0), (8, 3), (5, 2**31)):
            problems = draw_problems(load(name), n, 12, [0, 1, 7, 2**20], seed)
            for key in ("xs", "ys", "shown"):
                digest.update(getattr(problems, key).tobytes())
    assert digest.hexdigest() == "2e8f375594f16b897036d9529b7ec29dc5e9ee8cbb55d8f71f1467bd7317d540"


def test_no_seed_of_one_stream_draws_a_problem_of_another():
    """Inputs of 64 bits: two problems that are not the same share no point."""
    seeds = [0, 1, 7, 2**30, 2**30 + 7, 2**31, 2**31 + 1, 2**31 + 7, 2**32 - 1, 2**53, 2**63 - 1]
    task, seen = load("conjunction"), set()
    for stream in get_args(Stream):
        for seed in seeds:
            points = draw_problems(task, 64, 4, 8, seed, stream).xs.reshape(-1, 64)
            new = {row.tobytes() for row in points}
            assert len(new) == len(points)
            assert not new & seen
            seen |= new


@pytest.mark.parametrize("seed", [-1, -(2**63), 2**63, 2**64])
def test_seeds_out_of_range_are_refused(seed):
    with pytest.raises(RequestError, match="is out of range: 0 to 2\\^63 - 1"):
        draw_problems(load("conjunction"), 5, 4, 2, seed)


@pytest.mark.parametrize("numbers", [[-1], [3, -2], [2**32]])
def test_problem_numbers_out_of_range_are_refused(numbers):
    with pytest.raises(RequestError, match="problems are numbered from 0"):
        draw_problems(load("conjunction"), 5, 4, numbers)


@pytest.mark.parametrize("text", CARDS)
def test_label_noise_changes_what_is_shown_and_nothing_else(text):
    clean, noisy = (draw_problems(load(name), 5, 30, 200) for name in (text, f"{text}:noise=0.2"))
    np.testing.assert_array_equal(clean.shown, clean.ys)
    assert_same(clean, dataclasses.replace(noisy, shown=noisy.ys))
    assert by_chance((noisy.shown != noisy.ys).sum(), noisy.ys.size, 0.2)


@pytest.mark.parametrize("text", [card for card in CARDS if load(card).planted == 0])
def test_bias_is_the_share_of_ones_among_the_inputs(text):
    fair, biased = (draw_problems(load(name), 5, 30, 200) for name in (text, f"{text}:bias=0.7"))
    assert by_chance(biased.xs.sum(), biased.xs.size, 0.7)
    for key, value in fair.parameters.items():
        np.testing.assert_array_equal(value, biased.parameters[key])
    if load(text).planted == 0:  # paired: a greater bias only turns bits on
        assert (draw_problems(load(f"{text}:bias=0.3"), 5, 30, 200).xs <= biased.xs).all()


@pytest.mark.parametrize("text", [card for card in CARDS if card != "nearest-neighbour"])
def test_drop_constant_draws_again_exactly_the_constant_functions(text):
    task, every_input = load(text), all_inputs(4)[None]
    before = draw_problems(task, 4, 3, 300)
    after = draw_problems(dataclasses.replace(task, drop_constant=True), 4, 3, 300)
    values = [
        function_class_of(task, 4).evaluate(p.parameters, np.repeat(every_input, 300, axis=0)) for p in (before, after)
    ]
    constant, still = ((v == v[:, :1]).all(axis=1) for v in values)
    assert not still.any()
    np.testing.assert_array_equal(constant, function_class_of(task, 4).is_constant(before.parameters))
    for key, value in before.parameters.items():
        np.testing.assert_array_equal(value[~constant], after.parameters[key][~constant])


def test_a_task_of_constant_functions_only_cannot_drop_them():
    with pytest.raises(RequestError, match="only constant functions"):
        draw_problems(dataclasses.replace(load("expr: x1 | ~x1"), drop_constant=True), 3, 3, 2)


def test_teaching_is_the_share_of_problems_that_begin_with_a_lesson():
    taught, vanilla = (draw_problems(load(name), 5, 12, 2000) for name in ("conjunction:teaching=0.3", "conjunction"))
    lesson = taught.taught > 0
    assert by_chance(lesson.sum(), 2000, 0.3)
    np.testing.assert_array_equal(taught.xs[~lesson], vanilla.xs[~lesson])
    later = np.arange(12) >= taught.taught[:, None]
    np.testing.assert_array_equal(taught.xs[later], vanilla.xs[later])


def test_noise_spares_the_lesson():
    problems = draw_problems(load("conjunction:teaching=1,noise=0.4"), 5, 30, 300)
    prefix = np.arange(30) < problems.taught[:, None]
    flipped = problems.shown != problems.ys
    assert not flipped[prefix].any()
    assert by_chance(flipped[~prefix].sum(), (~prefix).sum(), 0.4)


def test_a_lesson_longer_than_the_problem_is_refused():
    with pytest.raises(RequestError, match="teaching sequence"):
        draw_problems(load("conjunction:teaching=1"), 5, 3, 50)


@pytest.mark.parametrize(
    "text", ["sparse-parity:k=2.5", "sparse-parity:k=two", "conjunction:positive=often", "integer-halfspace:bound=-1",
             "integer-halfspace:bound=1.5", "nearest-neighbour:start=1.5", "dnf:terms=1.5", "sparse-parity:k=true"]
)  # fmt: skip
def test_an_option_of_the_wrong_kind_is_refused(text):
    with pytest.raises(RequestError):
        draw_problems(load(text), 6, 3, 2)


@pytest.mark.parametrize("text", [*CARDS, *WITH_OPTIONS])
def test_problems_come_back_from_their_file(text, tmp_path):
    problems = draw_problems(load(text), 5, 30, 6, seed=3)
    problems.save(tmp_path / "problems.npz")
    loaded = Problems.load(tmp_path / "problems.npz")
    assert_same(problems, loaded)
    assert (loaded.task, loaded.n, loaded.seed) == (problems.task, 5, 3)


def test_shuffled_labels_are_others_unless_all_are_equal():
    """A permutation that changes nothing is no control: the prompt would be the same."""
    problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 5, 3, 400, 0)
    shuffled = problems.with_shuffled_labels()
    two = (problems.shown != problems.shown[:, :1]).any(axis=1)
    assert 0 < two.sum() < len(two)
    assert (shuffled.shown != problems.shown).any(axis=1).tolist() == two.tolist()
    np.testing.assert_array_equal(np.sort(shuffled.shown), np.sort(problems.shown))


def test_the_first_points_know_how_many_were_drawn(tmp_path):
    problems = draw_problems(load_task(parse_specs(["conjunction:teaching=0.5"])[0]), 3, 9, 5, 0)
    problems.prefix(4).prefix(2).save(tmp_path / "problems.npz")
    assert Problems.load(tmp_path / "problems.npz").drawn == 9
