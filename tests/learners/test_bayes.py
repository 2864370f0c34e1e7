"""Exact Bayes against the definition of how problems are drawn, and against what is drawn."""

import dataclasses
import itertools
import re
from collections import defaultdict
from fractions import Fraction
from functools import lru_cache
from math import prod

import numpy as np
import pytest
from scipy.integrate import dblquad
from scipy.stats import norm

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError, WorkError
from llm_icl.function_classes.base import function_class_of
from llm_icl.learners import learner_of
from llm_icl.learners.ceilings import inputs_are_informative
from llm_icl.tasks.cards import load_task, task_names
from llm_icl.tasks.drawing import draw_problems
from tests.simulations.ceilings import tasks


def load(text):
    return load_task(parse_specs([text])[0])


def answers(learner, problems):
    return learner_of(parse_specs([learner])[0]).answer(problems)


def table(function, n):
    """The values of a function at all inputs."""
    return tuple(int(bool(function(x))) for x in itertools.product((0, 1), repeat=n))


def signed(x):
    return [2 * bit - 1 for bit in x]


def every(row, x):
    """Whether all literals of the row hold."""
    return all(bit == (sign == 1) for bit, sign in zip(x, row, strict=True) if sign)


def functions(task, n):
    """(prior, parameters, table, {bit: value when planted}) of every function of a task, from the definitions."""
    kind, own = task.function_class, function_class_of(task, n)

    def rows(positive, negative):
        law = {0: 1 - positive - negative, 1: positive, -1: negative}
        return [
            (prod(law[s] for s in row), row) for row in itertools.product(law, repeat=n) if all(law[s] for s in row)
        ]

    def subsets(k):
        chosen = [tuple(int(bit in some) for bit in range(n)) for some in itertools.combinations(range(n), k)]
        return [(1 / len(chosen), row) for row in chosen]

    if kind in ("conjunction", "disjunction", "sparse-disjunction"):
        drawn = subsets(own.k) if kind.startswith("sparse") else rows(own.positive, own.negative)
        for prior, row in drawn:
            negated = [-s for s in row]
            satisfied = {bit: int(s > 0) for bit, s in enumerate(row) if s}
            if kind == "conjunction":
                yield prior, {"literals": row}, table(lambda x, row=row: every(row, x), n), satisfied
            else:
                falsified = {bit: 1 - value for bit, value in satisfied.items()}
                yield prior, {"literals": row}, table(lambda x, row=negated: not every(row, x), n), falsified
    elif kind in ("dnf", "cnf"):
        terms = [
            (
                p,
                row,
                table(lambda x, row=row: every(row, x), n),
                table(lambda x, row=row: every([-s for s in row], x), n),
            )
            for p, row in rows(own.positive, own.negative)
        ]
        for chosen in itertools.product(terms, repeat=own.terms):
            priors, literals, satisfied, falsified = zip(*chosen, strict=True)
            if kind == "dnf":
                values = tuple(map(max, zip(*satisfied, strict=True)))
            else:
                values = tuple(1 - value for value in map(max, zip(*falsified, strict=True)))
            planted = {bit: int((s > 0) == (kind == "dnf")) for bit, s in enumerate(literals[0]) if s}
            yield prod(priors), {"literals": literals}, values, planted
    elif "parity" in kind:
        drawn = subsets(own.k) if kind == "sparse-parity" else rows(0.5, 0)
        for prior, row in drawn:
            yield prior, {"relevant": row}, table(lambda x, row=row: sum(map(int.__mul__, x, row)) % 2, n), {}
    elif kind in ("halfspace", "sparse-halfspace"):
        k = n if kind == "halfspace" else own.k
        for (chance, relevant), (share, row) in itertools.product(subsets(k), halfspaces(k)):
            weights = [0] * n
            for bit, weight in zip((bit for bit in range(n) if relevant[bit]), row, strict=True):
                weights[bit] = weight
            values = table(lambda x, row=weights: sum(map(int.__mul__, signed(x), row)) > 0, n)
            yield chance * share, {"weights": weights, "threshold": 0}, values, {}
    else:
        thresholds = [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5] if kind == "threshold" else [0.5]
        if kind == "integer-halfspace":
            drawn = [(7.0**-n, row) for row in itertools.product(range(-3, 4), repeat=n)]
        else:
            laws = {"majority": lambda: (own.relevant, 0), "full-majority": lambda: (0.5, 0.5)}
            drawn = rows(*laws.get(kind, lambda: (own.positive, own.negative))())
        for (prior, row), t in itertools.product(drawn, thresholds):
            values = table(lambda x, row=row, t=t: sum(map(int.__mul__, signed(x), row)) > t, n)
            yield prior / len(thresholds), {"weights": row, "threshold": t}, values, {}


@lru_cache
def largest_of_three():
    """P(|w1| > |w2| + |w3|) of normal weights."""
    return 4 * dblquad(lambda a, b: 2 * norm.sf(a + b) * norm.pdf(a) * norm.pdf(b), 0, 9, 0, 9, epsabs=1e-11)[0]


def halfspaces(k):
    """(prior, weights) of the functions of k normal weights: one bit decides alone, or the majority of three."""
    alone = largest_of_three() if k == 3 else 1 / k
    units = [(alone / 2, tuple(sign * (bit == j) for bit in range(k))) for j in range(k) for sign in (1, -1)]
    if k < 3:
        return units
    return units + [((1 - 3 * alone) / 8, signs) for signs in itertools.product((1, -1), repeat=3)]


def hypotheses(task, n):
    """The prior of everything that matters of a function: its values, what is planted, and its lesson."""
    own, prior = function_class_of(task, n), defaultdict(float)
    for weight, parameters, values, planted in functions(task, n):
        lesson = ()
        if task.teaching:
            one = {key: np.array([value], dtype=np.int8) for key, value in parameters.items()}
            xs, lengths = own.teaching_sequence(one)
            lesson = tuple(map(tuple, xs[0, : lengths[0]].tolist()))
        if not (task.drop_constant and len(set(values)) == 1):
            prior[values, tuple(planted.items()), lesson] += weight
    return prior


def density(task, x, planted):
    """The probability of a point that is no part of a lesson."""
    chances = [task.bias if bit else 1 - task.bias for bit in x]
    fits = all(x[bit] == value for bit, value in planted)
    others = prod(chance for bit, chance in enumerate(chances) if bit not in dict(planted))
    return (1 - task.planted) * prod(chances) + task.planted * fits * others


def brute_force(task, prior, xs, shown, knows_inputs):
    """P(y_k = 1) for every k, by weighing every function, with and without a lesson, on the whole prefix.

    In floats or, if the options of the task and the prior are fractions, exactly.
    """
    share = task.teaching if knows_inputs else 0
    weighed = [(w * (1 - share), key, False) for key, w in prior.items()]
    weighed += [(w * share, key, True) for key, w in prior.items() if len(key[2]) <= len(xs)]
    result = []
    for k, x in enumerate(xs):
        number, now, mass = int("".join(map(str, x)), 2), [], [0, 0]
        for weight, key, told in weighed:
            values, planted, lesson = key
            in_lesson = told and k < len(lesson)
            if knows_inputs:
                weight *= (lesson[k] == tuple(x)) if in_lesson else density(task, x, planted)
            mass[values[number]] += weight
            noise = 0 if in_lesson else task.noise
            weight *= noise if values[number] != shown[k] else 1 - noise
            if weight:
                now.append((weight, key, told))
        result.append(float(mass[1] / sum(mass)))
        weighed = now
    return result


def assert_exact(text, n, points=16, problems=3, number=float):
    """Both kinds of exact Bayes are the posterior of the definition, and equal where inputs tell nothing."""
    task = load(text)
    drawn = draw_problems(task, n, points, problems, seed=1)
    law = {key: number(getattr(task, key)) for key in ("bias", "noise", "planted", "teaching")}
    exact, prior = dataclasses.replace(task, **law), {key: number(w) for key, w in hypotheses(task, n).items()}
    found = {}
    for learner, knows_inputs in (("bayes", True), ("bayes-labels", False)):
        if not knows_inputs and task.noise == 1 and task.teaching > 0:
            continue  # a lesson without noise is impossible to one who knows of no lessons
        found[learner] = answers(learner, drawn).probability
        pairs = zip(drawn.xs.tolist(), drawn.shown.tolist(), strict=True)
        expected = [brute_force(exact, prior, xs, shown, knows_inputs) for xs, shown in pairs]
        np.testing.assert_allclose(found[learner], expected, atol=1e-9, err_msg=text)
    if not inputs_are_informative(task):
        np.testing.assert_array_equal(found["bayes"], found["bayes-labels"], err_msg=text)


def small(card, n):
    """A card whose functions fit into n ≤ 3 bits."""
    k = {"sparse-disjunction": 2, "sparse-parity": 2, "sparse-halfspace": 3}.get(card)
    return f"{card}:k={min(k, n)}" if k else card


CARDS = [card for card in task_names() if card != "nearest-neighbour"]


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("card", CARDS)
def test_exact_bayes_is_the_posterior_of_the_definition(card, n):
    for text in tasks(small(card, n), n, {"noise": "0.2", "bias": "0.3", "planted": "0.4", "teaching": "0.5"}):
        assert_exact(text, n)
        if n == 2:
            assert_exact(f"{text}{',' if ':' in text else ':'}drop-constant=true", n)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("conjunction", 4),
        ("conjunction:noise=0.2,bias=0.3,planted=0.6,teaching=0.5,drop-constant=true", 3),
        ("disjunction-llm:noise=0.2,bias=0.7", 4),
        ("disjunction:negative=0,teaching=0.5", 3),
        ("sparse-disjunction:k=2,bias=0.4,noise=0.1", 4),
        ("dnf:terms=2,planted=0.8,drop-constant=true", 3),
        ("dnf:terms=1", 3),
        ("cnf:terms=2,drop-constant=true,noise=0.1", 3),
        ("monotone-cnf:teaching=0.5,noise=0.1,drop-constant=true,bias=0.3", 3),
        ("majority-llm:drop-constant=true,noise=0.1", 4),
        ("full-majority", 4),
        ("threshold:noise=0.2", 4),
        ("parity:noise=0.2,drop-constant=true", 4),
        ("sparse-parity:teaching=0.5,noise=0.1", 4),
        ("sparse-halfspace:k=2,noise=0.1", 4),
    ],
)
def test_exact_bayes_at_other_sizes_and_with_more_options(text, n):
    assert_exact(text, n, 14, 4)


@pytest.mark.parametrize(
    "text",
    [
        "conjunction:noise=0.5",
        "conjunction:noise=1",
        "conjunction:planted=1",
        "conjunction:planted=1,noise=0.5,bias=0.001",
        "conjunction:teaching=1,noise=1",
        "conjunction:teaching=1,noise=0.5,bias=1e-30",
        "disjunction:teaching=0.5,planted=0.5,bias=0.999999999",
        "conjunction:teaching=1e-12,planted=1e-12",
        "monotone-conjunction:noise=1e-100,teaching=0.5",
        "monotone-dnf:teaching=1,noise=0.999,terms=2",
        "dnf:terms=2,planted=1,bias=0.999",
        "sparse-parity:noise=1e-9,bias=0.001",
        "sparse-parity:teaching=1,bias=1e-200",
        "majority:bias=0.0001,noise=0.5",
        "threshold:noise=1e-300",
        "parity:noise=1,bias=0.9",
    ],
)
def test_exact_bayes_with_extreme_options_is_exact(text):
    assert_exact(text, 3, 20, 3, Fraction)


def test_exact_bayes_knows_that_a_lesson_longer_than_the_problem_cannot_be_drawn():
    """With 3 points a lesson of more than 3 is refused, so that what is drawn has none."""
    for i in range(60):
        try:
            drawn = draw_problems(load("conjunction:teaching=0.7"), 3, 3, [i])
        except RequestError:
            continue
        prior = hypotheses(drawn.task, 3)
        expected = brute_force(drawn.task, prior, drawn.xs[0].tolist(), drawn.shown[0].tolist(), True)
        np.testing.assert_allclose(answers("bayes", drawn).probability, [expected], atol=1e-9)


def test_exact_bayes_does_not_underflow():
    """One relevant bit of 330, mostly ones: a lesson's point, (0, …, 1, …, 0), has the density 0.9 · 0.1^329."""
    for share in (1.0, 0.5, 1e-9):
        problems = draw_problems(load(f"sparse-parity:k=1,teaching={share},bias=0.9"), 330, 30, 20)
        bias = Fraction(9, 10)
        for xs, shown, found in zip(problems.xs, problems.shown, answers("bayes", problems).probability, strict=True):
            weights = {
                (j, told): Fraction(share) if told else 1 - Fraction(share) for j in range(330) for told in (0, 1)
            }
            for k, x in enumerate(xs):
                ones = int(x.sum())
                unplanted = bias**ones * (1 - bias) ** (330 - ones)
                for j, told in weights:
                    weights[j, told] *= int(ones == 1 and x[j]) if told and k == 0 else unplanted
                total = sum(weights.values())
                assert found[k] == pytest.approx(
                    float(sum(w for (j, _), w in weights.items() if x[j]) / total), abs=1e-9
                )
                weights = {(j, told): w / total for (j, told), w in weights.items() if w and x[j] == shown[k]}
        if share == 1:
            np.testing.assert_array_equal(answers("bayes", problems).prediction, problems.ys)


@pytest.mark.parametrize("points", [3000])
@pytest.mark.parametrize(
    "text", ["conjunction:noise=0.4,bias=0.1", "conjunction:teaching=0.5,noise=0.05", "parity:noise=0.45"]
)
def test_exact_bayes_of_thousands_of_points_knows_the_function(text, points):
    problems = draw_problems(load(text), 4, points, 5)
    for learner in ("bayes", "bayes-labels"):
        probability = answers(learner, problems).probability
        assert np.isfinite(probability).all()
        np.testing.assert_array_equal((probability > 0.5)[:, -500:], problems.ys[:, -500:])


@pytest.mark.parametrize("card", [*CARDS, "nearest-neighbour:start=3"])
def test_exact_bayes_is_the_frequency_among_all_problems_that_begin_alike(card):
    """What is drawn, without any enumeration: of the problems with the same examples and query, P have label 1."""
    n, points, count = 2, 6, 20_000
    card = f"{card}:k={1 if 'parity' in card else 2}" if card.startswith("sparse") else card
    for text in tasks(card, n):
        problems = draw_problems(load(text), n, points, count, seed=3)
        x, code = problems.xs @ np.array([2, 1]), np.zeros(count, dtype=np.int64)
        for k in range(4):
            code = code * 4 + x[:, k]
            _, first, group, size = np.unique(code, return_index=True, return_inverse=True, return_counts=True)
            probability = answers("bayes", problems[first]).probability[:, k]
            ones = np.bincount(group, problems.ys[:, k])
            error = np.sqrt(size * probability * (1 - probability))
            np.testing.assert_array_equal(ones[error == 0], (size * probability)[error == 0], err_msg=text)
            enough = error > 3
            assert (np.abs(ones - size * probability)[enough] < 5.5 * error[enough]).all(), text
            code = code * 2 + problems.shown[:, k]


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("start", [1, 4, 7])
def test_exact_bayes_weighs_the_coins_of_the_nearest_neighbour_task(start, noise):
    problems = draw_problems(load(f"nearest-neighbour:start={start},noise={noise},bias=0.4"), 3, 10, 10)
    for i, xs in enumerate(problems.xs.astype(int)):
        possible = []
        for coins in itertools.product((0, 1), repeat=start):
            labels = []
            for k, x in enumerate(xs):
                distances = [int((x != other).sum()) for other in xs[:k]]
                own = k < start and 0 not in distances
                labels.append(coins[k] if own else labels[distances.index(min(distances))])
            possible.append(labels)
        for learner in ("bayes", "bayes-labels"):
            for k, probability in enumerate(answers(learner, problems).probability[i]):
                wrong = [
                    sum(a != b for a, b in zip(labels[:k], problems.shown[i], strict=False)) for labels in possible
                ]
                weights = [noise**w * (1 - noise) ** (k - w) for w in wrong]
                ones = sum(weight * labels[k] for weight, labels in zip(weights, possible, strict=True))
                assert probability == pytest.approx(ones / sum(weights), abs=1e-12)


def test_exact_bayes_of_a_known_function_is_the_function():
    for text in ("expr: x1 ^ x2 & x3", "table: 01101000"):
        problems = draw_problems(load(text), 3, 12, 7)
        np.testing.assert_array_equal(answers("bayes", problems).probability, problems.ys)


@pytest.mark.parametrize("card", ["conjunction", "disjunction", "sparse-parity", "monotone-dnf", "monotone-cnf"])
def test_exact_bayes_knows_the_function_after_its_lesson(card):
    problems = draw_problems(load(f"{card}:teaching=1"), 3, 16, 100)
    after = np.arange(16) >= problems.taught[:, None]
    np.testing.assert_array_equal(answers("bayes", problems).probability[after], problems.ys[after])


def test_gaussian_elimination_is_exact_bayes_for_parities():
    problems = draw_problems(load("parity"), 8, 20, 300)
    elimination, bayes = answers("gaussian-elimination", problems), answers("bayes", problems)
    np.testing.assert_array_equal(elimination.probability, bayes.probability)
    np.testing.assert_array_equal(elimination.prediction, bayes.prediction)


def test_where_gaussian_elimination_is_certain_of_a_sparse_parity_so_is_exact_bayes():
    problems = draw_problems(load("sparse-parity"), 8, 20, 300)
    forced = answers("gaussian-elimination", problems).probability
    certain = forced != 0.5
    assert certain.mean() > 0.2
    np.testing.assert_allclose(answers("bayes", problems).probability[certain], forced[certain], atol=1e-12)


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("conjunction", 4),
        ("conjunction", 11),
        ("disjunction:drop-constant=true", 11),
        ("conjunction:teaching=1,noise=0.1", 4),
        ("parity", 4),
        ("parity:drop-constant=true", 3),
        ("nearest-neighbour:start=3", 3),
        ("nearest-neighbour:start=3,noise=1", 3),
        ("expr: x1 ^ x2", 3),
    ],
)
@pytest.mark.parametrize("learner", ["bayes", "bayes-labels"])
def test_impossible_examples_are_an_error_and_not_a_guess(learner, text, n):
    problems = draw_problems(load(text), n, 30, 6)
    if "teaching" in text:
        impossible = dataclasses.replace(problems, shown=1 - problems.shown)
    else:
        shown = problems.shown.copy()
        shown[3] ^= np.arange(30) % 2 == 0
        impossible = dataclasses.replace(problems, shown=shown)
    if learner == "bayes-labels" and "noise=0.1" in text:
        assert np.isfinite(answers(learner, impossible).probability).all()
        return
    with pytest.raises(WorkError, match=re.escape(f"task '{text}'")):
        answers(learner, impossible)


@pytest.mark.parametrize("learner", ["bayes", "bayes-labels"])
def test_exact_bayes_refuses_what_it_cannot_weigh(learner):
    bayes = learner_of(parse_specs([learner])[0])
    assert "halfspace" in bayes.refusal(load("halfspace"), 5)
    assert "infinitely many" in bayes.refusal(load("sparse-halfspace:k=4"), 5)
    assert all(word in bayes.refusal(load("threshold"), 20) for word in ("2.09e+10", "n = 20", "2,097,152"))
    assert "bias" in bayes.refusal(load("conjunction:bias=1"), 5)
    assert "bias" in bayes.refusal(load("sparse-parity:teaching=0.5,bias=1"), 5)
    impossible = "noise = 1" in bayes.refusal(load("sparse-parity:teaching=0.5,noise=1"), 5)
    assert impossible == (learner == "bayes-labels")
    assert bayes.refusal(load("parity"), 100) == ""
    assert bayes.refusal(load("conjunction"), 20) == ""
    assert "functions" in bayes.refusal(load("conjunction:noise=0.1"), 20)
    assert "at most 50" in learner_of(parse_specs([f"{learner}:limit=50"])[0]).refusal(load("conjunction"), 4)


@pytest.mark.parametrize(
    "option", ["", ":drop-constant=true", ":planted=0", ":planted=1", ":positive=0.3,negative=0.1", ":negative=0"]
)
@pytest.mark.parametrize("name", ["conjunction", "disjunction"])
@pytest.mark.parametrize("learner", ["bayes", "bayes-labels"])
def test_counting_conjunctions_is_the_same_as_weighing_them_all(monkeypatch, learner, name, option):
    problems = draw_problems(load(name + option), 6, 40, 30)
    bayes = learner_of(parse_specs([learner])[0])
    weighed = bayes.answer(problems).probability
    monkeypatch.setattr("llm_icl.function_classes.literals._LISTED", 0)
    assert function_class_of(problems.task, 6).has_closed_form(problems.task, 6)
    counted = bayes.answer(problems).probability
    np.testing.assert_allclose(counted, weighed, atol=1e-9)
    assert counted.min() >= 0
    assert counted.max() <= 1
