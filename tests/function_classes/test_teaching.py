"""Teaching sequences, checked against every other function of the class."""

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.function_classes.base import all_inputs, function_class_of
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

CLASSES = [
    "conjunction",
    "monotone-conjunction",
    "conjunction:positive=0,negative=0.3",
    "disjunction",
    "disjunction:negative=0",
    "disjunction:positive=0",
    "sparse-parity",
    "sparse-parity:k=3",
    "monotone-dnf:terms=1",
    "monotone-dnf:terms=2",
    "monotone-dnf",
    "monotone-cnf:terms=2",
    "monotone-cnf",
]


def load(text):
    return load_task(parse_specs([text])[0])


def number(xs):
    return (xs.astype(int) << np.arange(xs.shape[-1] - 1, -1, -1)).sum(axis=-1)


def tables_of(function_class, parameters, n):
    count = len(next(iter(parameters.values())))
    return function_class.evaluate(parameters, np.repeat(all_inputs(n)[None], count, axis=0))


def left_by(tables, points, labels):
    """The distinct functions that agree with the labelled points."""
    return np.unique(tables[(tables[:, number(points)] == labels).all(axis=1)], axis=0)


@pytest.mark.parametrize("n", [3, 4])
@pytest.mark.parametrize("text", CLASSES)
def test_the_teaching_sequence_leaves_exactly_one_function(text, n):
    function_class = function_class_of(load(text), n)
    parameters, _ = function_class.hypotheses(n)
    tables = tables_of(function_class, parameters, n)
    distinct = np.unique(tables, axis=0)
    xs, lengths = function_class.teaching_sequence(parameters)
    for table, sequence, length in zip(tables, xs, lengths, strict=True):
        points = sequence[:length]
        left = left_by(distinct, points, table[number(points)])
        np.testing.assert_array_equal(left, table[None])


@pytest.mark.parametrize("text", CLASSES)
def test_a_taught_problem_begins_with_a_lesson_that_leaves_exactly_its_function(text):
    task = load(f"{text}{',' if ':' in text else ':'}teaching=1,noise=0.3")
    problems = draw_problems(task, 4, 30, 60)
    function_class = function_class_of(task, 4)
    distinct = np.unique(tables_of(function_class, function_class.hypotheses(4).parameters, 4), axis=0)
    truth = tables_of(function_class, problems.parameters, 4)
    for i, length in enumerate(problems.taught):
        left = left_by(distinct, problems.xs[i, :length], problems.shown[i, :length])
        np.testing.assert_array_equal(left, truth[i : i + 1])


@pytest.mark.parametrize(
    ("text", "extra"),
    [("conjunction", 2), ("disjunction", 2), ("monotone-conjunction", 1), ("disjunction:negative=0", 1)],
)
def test_a_lesson_has_a_point_for_each_literal_and_one_or_two_before(text, extra):
    function_class = function_class_of(load(text), 6)
    parameters, _ = function_class.hypotheses(6)
    lengths = function_class.teaching_sequence(parameters).lengths
    np.testing.assert_array_equal(lengths, (parameters["literals"] != 0).sum(axis=1) + extra)


def test_the_lesson_of_a_conjunction_is_the_published_one():
    """x1 & ~x3 at n = 4: the other bits at 0, then at 1, then each literal failing in turn."""
    literals = {"literals": np.array([[1, 0, -1, 0]], dtype=np.int8)}
    xs, _ = function_class_of(load("conjunction"), 4).teaching_sequence(literals)
    assert xs[0, :4].tolist() == [[1, 0, 0, 0], [1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 1, 0]]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_lesson_of_a_sparse_parity_has_k_points(k):
    problems = draw_problems(load(f"sparse-parity:k={k},teaching=1"), 6, 8, 50)
    assert (problems.taught == k).all()
    assert (problems.ys[:, :k] == 1).all()


@pytest.mark.parametrize("text", ["dnf", "cnf"])
def test_a_normal_form_with_negations_names_the_task_that_has_a_lesson(text):
    with pytest.raises(RequestError, match="monotone-dnf"):
        draw_problems(load(f"{text}:teaching=1"), 4, 30, 5)


@pytest.mark.parametrize("text", ["parity", "majority", "halfspace", "nearest-neighbour", "sparse-disjunction"])
def test_a_class_without_lessons_refuses(text):
    with pytest.raises(RequestError, match="teaching"):
        draw_problems(load(f"{text}:teaching=0.5"), 5, 30, 5)
