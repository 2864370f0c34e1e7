"""Exact Bayes against the definition of how problems are drawn, and against every other learner."""

import itertools
from collections import defaultdict
from math import prod

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.function_classes.base import function_class_of
from llm_icl.learners import learner_of
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

BEATEN = 4.5  # standard errors: by chance once in 300 000


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


def brute_force(task, n, prior, xs, shown, knows_inputs):
    """P(y_k = 1) for every k, by weighing every function, with and without a lesson, on the whole prefix."""
    share = task.teaching if knows_inputs else 0.0
    weighed = [(w * s, key, told) for key, w in prior.items() for told, s in ((True, share), (False, 1 - share)) if s]
    result = []
    for k, x in enumerate(xs):
        number, now, mass = int("".join(map(str, x)), 2), [], [0.0, 0.0]
        for weight, key, told in weighed:
            values, planted, lesson = key
            in_lesson = told and k < len(lesson)
            if knows_inputs:
                weight *= (lesson[k] == tuple(x)) if in_lesson else density(task, x, planted)
            mass[values[number]] += weight
            noise = 0.0 if in_lesson else task.noise
            weight *= noise if values[number] != shown[k] else 1 - noise
            if weight:
                now.append((weight, key, told))
        result.append(mass[1] / sum(mass))
        weighed = now
    return result


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("conjunction", 4),
        ("conjunction:noise=0.2,bias=0.3", 4),
        ("conjunction:drop-constant=true,teaching=0.4,noise=0.1,bias=0.6", 3),
        ("conjunction-llm:teaching=0.5", 4),
        ("monotone-conjunction:planted=0.6,teaching=0.5", 4),
        ("disjunction:teaching=0.3,bias=0.4,noise=0.15", 4),
        ("disjunction-llm:drop-constant=true", 4),
        ("disjunction:negative=0,teaching=0.5", 3),
        ("sparse-disjunction:k=2,bias=0.4,noise=0.1", 4),
        ("dnf", 3),
        ("dnf:drop-constant=true,bias=0.7,noise=0.1", 3),
        ("dnf:terms=2,planted=0.8", 3),
        ("dnf:terms=1", 3),
        ("cnf:drop-constant=true,noise=0.1", 3),
        ("monotone-dnf:teaching=0.5,noise=0.1", 3),
        ("monotone-cnf:teaching=0.5,drop-constant=true,bias=0.3", 3),
        ("majority", 4),
        ("majority-llm:drop-constant=true,noise=0.1", 4),
        ("full-majority", 4),
        ("threshold:drop-constant=true", 3),
        ("threshold:noise=0.2", 4),
        ("integer-halfspace:drop-constant=true", 3),
        ("parity", 4),
        ("parity:drop-constant=true,bias=0.3", 4),
        ("parity:noise=0.2,drop-constant=true", 4),
        ("sparse-parity:teaching=0.5,noise=0.1", 4),
        ("monotone-dnf:teaching=1,terms=2,noise=0.1", 3),
        ("conjunction:teaching=1,noise=1", 3),
    ],
)
def test_exact_bayes_is_the_posterior_of_the_definition(text, n):
    task = load(text)
    problems = draw_problems(task, n, 14, 5, seed=1)
    prior = hypotheses(task, n)
    for learner, knows_inputs in (("bayes", True), ("bayes-labels", False)):
        if not knows_inputs and task.noise == 1 and task.teaching:
            continue  # a lesson without noise is impossible to one who knows of no lessons
        expected = [
            brute_force(task, n, prior, xs, shown, knows_inputs)
            for xs, shown in zip(problems.xs.tolist(), problems.shown.tolist(), strict=True)
        ]
        np.testing.assert_allclose(answers(learner, problems).probability, expected, atol=1e-9)


@pytest.mark.parametrize("start", [1, 4, 7])
def test_exact_bayes_weighs_the_coins_of_the_nearest_neighbour_task(start):
    problems = draw_problems(load(f"nearest-neighbour:start={start}"), 3, 10, 20)
    for i, xs in enumerate(problems.xs.astype(int)):
        possible = []
        for coins in itertools.product((0, 1), repeat=start):
            labels = []
            for k, x in enumerate(xs):
                distances = [int((x != other).sum()) for other in xs[:k]]
                own = k < start and 0 not in distances
                labels.append(coins[k] if own else labels[distances.index(min(distances))])
            possible.append(labels)
        for k, probability in enumerate(answers("bayes", problems).probability[i]):
            left = [labels[k] for labels in possible if labels[:k] == problems.shown[i, :k].tolist()]
            assert probability == sum(left) / len(left)


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


FAST = [
    "bayes-labels",
    "majority-label",
    "averaging",
    "nearest-neighbour",
    "nearest-neighbour:k=3,tie=vote",
    "nearest-neighbour:k=3,metric=cosine,tie=latest",
    "elimination:target=conjunction",
    "elimination:target=disjunction",
    "elimination:target=monotone-conjunction",
    "elimination:target=monotone-disjunction",
    "gaussian-elimination",
    "perceptron",
    "winnow",
]
SLOW = ["logistic", "decision-tree", "feed-forward:hidden=30,steps=40"]


@pytest.mark.parametrize(
    ("text", "n"),
    [
        *[
            (text, 5)
            for text in ("conjunction", "conjunction-llm", "conjunction:noise=0.2,teaching=0.5", "disjunction")
        ],
        *[(text, 5) for text in ("disjunction-llm:drop-constant=true", "monotone-conjunction", "sparse-disjunction")],
        *[(text, 6) for text in ("monotone-conjunction-llm", "majority", "majority-llm:noise=0.1", "full-majority")],
        *[(text, 3) for text in ("dnf:terms=2,drop-constant=true", "cnf:terms=2", "monotone-dnf", "monotone-cnf")],
        *[("threshold", 4), ("integer-halfspace", 3), ("parity", 6), ("parity:noise=0.1", 5), ("sparse-parity", 6)],
        ("nearest-neighbour:start=6", 5),
    ],
)
def test_no_learner_beats_exact_bayes(text, n):
    problems = draw_problems(load(text), n, 10, 2000)
    assert learner_of(parse_specs(["bayes"])[0]).refusal(problems.task, n) == ""
    correct = (answers("bayes", problems).prediction == problems.ys).mean(axis=1)
    for learner in (*FAST, *SLOW):
        some = problems[:25] if learner in SLOW else problems
        if learner == "bayes-labels" and text.startswith("nearest-neighbour"):
            continue
        gain = (answers(learner, some).prediction == some.ys).mean(axis=1) - correct[: len(some)]
        assert gain.mean() <= BEATEN * gain.std() / np.sqrt(len(some)), learner


@pytest.mark.parametrize("learner", ["bayes", "bayes-labels"])
def test_exact_bayes_refuses_what_it_cannot_weigh(learner):
    bayes = learner_of(parse_specs([learner])[0])
    assert "halfspace" in bayes.refusal(load("halfspace"), 5)
    assert "infinitely many" in bayes.refusal(load("sparse-halfspace"), 5)
    assert "infinitely many" in bayes.refusal(load("nearest-neighbour:noise=0.1"), 5)
    assert all(word in bayes.refusal(load("threshold"), 20) for word in ("2.09e+10", "n = 20", "2,097,152"))
    assert "bias" in bayes.refusal(load("conjunction:bias=1"), 5)
    assert "bias" in bayes.refusal(load("sparse-parity:teaching=0.5,bias=1"), 5)
    assert bayes.refusal(load("parity"), 100) == ""
    assert bayes.refusal(load("conjunction"), 20) == ""
    assert "functions" in bayes.refusal(load("conjunction:noise=0.1"), 20)
    assert "at most 50" in learner_of(parse_specs([f"{learner}:limit=50"])[0]).refusal(load("conjunction"), 4)


@pytest.mark.parametrize(
    "option", ["", ":drop-constant=true", ":planted=0", ":positive=0.3,negative=0.1", ":negative=0"]
)
@pytest.mark.parametrize("name", ["conjunction", "disjunction"])
@pytest.mark.parametrize("learner", ["bayes", "bayes-labels"])
def test_counting_conjunctions_is_the_same_as_weighing_them_all(monkeypatch, learner, name, option):
    problems = draw_problems(load(name + option), 6, 40, 30)
    bayes = learner_of(parse_specs([learner])[0])
    weighed = bayes.answer(problems).probability
    monkeypatch.setattr("llm_icl.function_classes.literals._LISTED", 0)
    assert function_class_of(problems.task, 6).has_closed_form(problems.task, 6)
    np.testing.assert_allclose(bayes.answer(problems).probability, weighed, atol=1e-9)
