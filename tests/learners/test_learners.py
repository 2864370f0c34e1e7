"""Every learner but exact Bayes: cases by hand, plain loops written from the docstrings, and what answers depend on."""

import dataclasses
import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.learners import learner_of, learners, parse_learners
from llm_icl.problems import Problems
from llm_icl.tasks.cards import load_task, task_names
from llm_icl.tasks.drawing import draw_problems

TARGETS = ("conjunction", "disjunction", "monotone-conjunction", "monotone-disjunction")


def load(text):
    return load_task(parse_specs([text])[0])


def learner(text):
    return learner_of(parse_specs([text])[0])


def problems_of(xs, ys, task="conjunction"):
    """Problems with these points [N, m, n] and labels [N, m]."""
    xs, ys = np.array(xs, dtype=np.uint8), np.array(ys, dtype=np.uint8)
    count = len(xs)
    return Problems(load(task), xs.shape[2], 0, xs, ys, ys, np.zeros(count, np.int64), np.arange(count), {})


def one_problem(points):
    """One problem from `bits label` pairs, such as "101 1, 110 0"."""
    pairs = [pair.split() for pair in points.split(",")]
    return problems_of([[[int(bit) for bit in bits] for bits, _ in pairs]], [[int(label) for _, label in pairs]])


def random_problems(seed, count=6, points=12, n=3):
    """Points and labels by chance; the task is noisy, so that no labels are impossible."""
    rng = np.random.default_rng(seed)
    xs, ys = rng.integers(0, 2, (count, points, n)), rng.integers(0, 2, (count, points))
    return problems_of(xs, ys, "conjunction:noise=0.2")


@pytest.mark.parametrize(
    ("name", "points", "expected"),
    [
        ("best-constant", "0 1, 1 0, 0 1", [2 / 3] * 3),
        ("majority-label", "0 1, 1 1, 0 0, 0 0, 1 0", [1 / 2, 2 / 3, 3 / 4, 3 / 5, 3 / 6]),
        # w after each example: (1, -1), then (0, -2), then (-1, -1)
        ("averaging", "10 1, 10 1, 11 0, 01 0", [0, 1, 0, 0]),
        ("averaging", "10 1, 01 0, 11 1, 00 0, 10 0", [0, 0, 0, 0, 1]),
        ("nearest-neighbour", "000 1, 111 0, 001 0, 110 1", [0.5, 1, 1, 0]),
        ("nearest-neighbour", "00 1, 11 0, 01 1", [0.5, 1, 1]),  # a tie of distance 1: the earliest
        ("nearest-neighbour:tie=latest", "00 1, 11 0, 01 1", [0.5, 1, 0]),
        ("nearest-neighbour:tie=vote", "00 1, 11 0, 01 1", [0.5, 1, 0.5]),
        ("nearest-neighbour:k=3", "000 1, 000 0, 000 1, 011 1, 001 0, 000 1", [0.5, 1, 0.5, 2 / 3, 2 / 3, 2 / 3]),
        ("nearest-neighbour:k=3", "000 1, 001 0, 010 0, 100 1, 111 1, 000 0", [0.5, 1, 0.5, 1 / 3, 1 / 3, 1 / 3]),
        ("nearest-neighbour:k=3,tie=latest", "000 1, 001 0, 010 0, 100 1, 000 1", [0.5, 1, 0.5, 1 / 3, 2 / 3]),
        ("nearest-neighbour:k=3,tie=vote", "000 1, 001 0, 010 0, 100 1, 000 1", [0.5, 1, 0.5, 1 / 3, 0.5]),
        # cosine of 1000 with 1100 is .71 and with 1111 is .5; Hamming distances of 0111 are 3 from 1100 and 1 from 1111
        ("nearest-neighbour:metric=cosine", "1111 1, 1100 0, 1000 0, 0111 0, 0000 1", [0.5, 1, 0, 1, 1]),
        # Hamming: 1000 is nearer to 0000 than to 1110; cosine: no vector is far from 0000
        ("nearest-neighbour", "0000 0, 1110 1, 1000 0", [0.5, 0, 0]),
        ("nearest-neighbour:metric=cosine", "0000 0, 1110 1, 1000 0", [0.5, 0, 1]),
        ("elimination:target=conjunction", "101 1, 100 1, 111 0, 100 1, 001 0", [0, 0, 0, 1, 0]),
        ("elimination:target=monotone-conjunction", "101 1, 111 1, 100 1, 110 0", [0, 1, 0, 1]),
        ("elimination:target=disjunction", "010 0, 011 0, 000 0, 011 1, 110 1", [1, 1, 1, 0, 1]),
        ("elimination:target=monotone-disjunction", "010 0, 000 0, 011 1, 010 0", [1, 0, 1, 0]),
        ("elimination", "101 1, 101 1", [0, 1]),
        # x1 ^ x3 from 100, 010 and 001; then everything is forced
        ("gaussian-elimination", "100 1, 010 0, 110 1, 001 1, 111 0", [0.5, 0.5, 1, 0.5, 0]),
        ("gaussian-elimination", "000 1, 100 1, 100 0, 100 0", [0, 0.5, 1, 1]),  # no parity gives 000 ↦ 1, 100 ↦ 0
        # (w, bias): mistake (1, -1, 1); 3 > 0; 1·-1 + 1 + 1 → 01 gives -1; 00: 1 > 0 a mistake → (2, 0, 0)
        ("perceptron", "10 1, 10 1, 01 0, 00 0, 11 1, 01 1", [0, 1, 0, 1, 1, 0]),
        # n = 2: 2 > 2 is false; the weights of x1 and ~x2 double; 4 > 2, halved; 2 > 2 is false
        ("winnow", "10 1, 10 0, 10 0, 11 1, 11 1", [0, 1, 0, 0, 1]),
        ("logistic", "0 1, 1 1, 1 1", [0.5, 1, 1]),
        ("decision-tree", "00 0, 01 0, 10 1, 11 0, 10 1, 01 0", [0.5, 0, 0, 1, 1, 0]),
    ],
)
def test_answers_by_hand(name, points, expected):
    answers = learner(name).answer(one_problem(points))
    prediction = np.array(expected) > 0.5
    np.testing.assert_array_equal(answers.prediction, prediction[None])
    np.testing.assert_array_equal(answers.status, np.zeros_like(answers.status))
    if not np.isnan(answers.probability).any():
        np.testing.assert_allclose(answers.probability, [expected], atol=1e-12)


def test_logistic_regression_minimises_its_penalised_loss():
    """One bit, examples 0 ↦ 0 and 1 ↦ 1, c = 2: by symmetry logits are ±w/2, and w = 2c·(1 - σ(w/2))/2."""
    probability = learner("logistic:c=2").answer(one_problem("0 0, 1 1, 1 1")).probability[0, 2]
    w = 2 * np.log(probability / (1 - probability))
    assert w == pytest.approx(2 * (1 - probability), abs=1e-9)


@pytest.mark.parametrize("c", [1e-3, 1, 100])
def test_logistic_regression_equals_what_a_general_minimiser_finds(c):
    from scipy.optimize import minimize
    from scipy.special import expit

    problems = draw_problems(load("nearest-neighbour:noise=0.1"), 4, 12, 12)
    found = learner(f"logistic:c={c}").answer(problems).probability
    for i, (xs, labels) in enumerate(zip(problems.xs, problems.shown, strict=True)):
        for k in range(problems.points):
            if len(set(labels[:k])) == 2:
                signs = 2.0 * labels[:k] - 1

                def loss(weights, xs=xs[:k], signs=signs):
                    margins = signs * (xs @ weights[1:] + weights[0])
                    pulled = -c * signs * expit(-margins)
                    slope = np.append(pulled.sum(), xs.T @ pulled + weights[1:])
                    return 0.5 * weights[1:] @ weights[1:] + c * np.logaddexp(0, -margins).sum(), slope

                weights = minimize(loss, np.zeros(5), jac=True, tol=1e-9).x
                logit = xs[k] @ weights[1:] + weights[0]
                assert found[i, k] == pytest.approx(expit(logit), abs=1e-5)


def test_logistic_regression_knows_what_is_even_by_symmetry():
    """A label for each value of the first bit, and a query whose examples say both."""
    answers = learner("logistic").answer(one_problem("10 1, 00 0, 11 0, 01 1, 10 1"))
    assert answers.probability[0, 4] == 0.5
    assert answers.prediction[0, 4] == 0


# Plain loops: the answer to x from the examples (list of bits, label), as P(y = 1) or as a prediction.


def plain_majority_label(examples, x):
    return (sum(y for _, y in examples) + 1) / (len(examples) + 2)


def plain_averaging(examples, x):
    return sum((2 * y - 1) * (2 * a - 1) * (2 * b - 1) for z, y in examples for a, b in zip(z, x, strict=True)) > 0


def plain_neighbours(k, metric, tie):
    def distance(z, x):
        if metric == "hamming":
            return sum(a != b for a, b in zip(z, x, strict=True))
        shared, norms = sum(a * b for a, b in zip(z, x, strict=True)), sum(z) * sum(x)
        return -Fraction(shared**2, norms) if norms else Fraction(0)  # cosines are not negative: squares keep the order

    def answer(examples, x):
        order = range(len(examples)) if tie == "earliest" else reversed(range(len(examples)))
        ranked = sorted(order, key=lambda i: distance(examples[i][0], x))
        chosen = ranked[:k]
        if tie == "vote" and chosen:
            limit = distance(examples[chosen[-1]][0], x)
            chosen = [i for i in ranked if distance(examples[i][0], x) <= limit]
        return sum(examples[i][1] for i in chosen) / len(chosen) if chosen else 0.5

    return answer


def plain_elimination(target):
    telling = int("conjunction" in target)

    def answer(examples, x):
        signs = (1,) if "monotone" in target else (1, 0)
        left = {(bit, sign) for bit in range(len(x)) for sign in signs}
        for z, y in examples:
            if y == telling:  # drop what is false in a positive (conjunction), true in a negative example (disjunction)
                left = {(bit, sign) for bit, sign in left if (z[bit] == sign) == bool(telling)}
        values = [x[bit] == sign for bit, sign in left]
        return all(values) if telling else any(values)

    return answer


def plain_parity(examples, x):
    possible = list(itertools.product((0, 1), repeat=len(x)))

    def value(subset, z):
        return sum(a * b for a, b in zip(subset, z, strict=True)) % 2

    for z, y in examples:
        possible = [s for s in possible if value(s, z) == y] or possible
    labels = {value(s, x) for s in possible}
    return labels.pop() if len(labels) == 1 else 0.5


def plain_perceptron(examples, x):
    weights, bias = [0] * len(x), 0

    def score(z):
        return sum(w * (2 * bit - 1) for w, bit in zip(weights, z, strict=True)) + bias

    for z, y in examples:
        if (score(z) > 0) != y:
            weights = [w + (2 * y - 1) * (2 * bit - 1) for w, bit in zip(weights, z, strict=True)]
            bias += 2 * y - 1
    return score(x) > 0


def plain_winnow(examples, x):
    weights = [Fraction(1)] * (2 * len(x))

    def inputs(z):
        return [*z, *(1 - bit for bit in z)]

    def answer(z):
        return sum(w * bit for w, bit in zip(weights, inputs(z), strict=True)) > len(x)

    for z, y in examples:
        if answer(z) != y:
            weights = [
                w * Fraction(2 if y else Fraction(1, 2)) ** bit for w, bit in zip(weights, inputs(z), strict=True)
            ]
    return answer(x)


def plain_tree(examples, x):
    """The whole tree, from the root, with exact impurities."""
    labels = [y for _, y in examples]
    if not labels:
        return 0.5

    def impurity(part):
        positive = sum(y for _, y in part)
        return Fraction(positive * (len(part) - positive), len(part))

    splits = {}
    for bit in range(len(x)):
        parts = [[(z, y) for z, y in examples if z[bit] == value] for value in (0, 1)]
        if all(parts):
            splits[bit] = (sum(map(impurity, parts)), bit, parts)
    if len(set(labels)) == 1 or not splits:
        return sum(labels) / len(labels)
    _, bit, parts = min(splits.values())
    return plain_tree(parts[x[bit]], x)


PLAIN = {
    "majority-label": plain_majority_label,
    "averaging": plain_averaging,
    **{
        f"nearest-neighbour:k={k},metric={metric},tie={tie}": plain_neighbours(k, metric, tie)
        for k, metric, tie in itertools.product((1, 3, 20), ("hamming", "cosine"), ("earliest", "latest", "vote"))
    },
    **{f"elimination:target={target}": plain_elimination(target) for target in TARGETS},
    "gaussian-elimination": plain_parity,
    "perceptron": plain_perceptron,
    "winnow": plain_winnow,
    "decision-tree": plain_tree,
}


@pytest.mark.parametrize("name", PLAIN)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 4), points=st.integers(1, 14), n=st.integers(1, 4))
def test_a_learner_answers_as_its_plain_loop(name, seed, count, points, n):
    problems = random_problems(seed, count, points, n)
    answers = learner(name).answer(problems)
    for i, (xs, ys) in enumerate(zip(problems.xs.tolist(), problems.ys.tolist(), strict=True)):
        examples = list(zip(xs, ys, strict=True))
        expected = [float(PLAIN[name](examples[:k], x)) for k, x in enumerate(xs)]
        assert answers.prediction[i].tolist() == [p > 0.5 for p in expected]
        if not np.isnan(answers.probability).any():
            np.testing.assert_allclose(answers.probability[i], expected, atol=1e-12)


ALL = sorted(set(dict(learners.items())) - {"best-constant", "feed-forward", "elimination", "nearest-neighbour"})
ALL += ["nearest-neighbour:k=3,tie=vote", "nearest-neighbour:metric=cosine,tie=latest"]
ALL += [*(f"elimination:target={target}" for target in TARGETS), "feed-forward:hidden=20,steps=15"]


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(0, 9))
def test_an_answer_depends_on_the_examples_before_it_only(name, seed, k):
    problems, other = random_problems(seed, 3, 10, 4), random_problems(seed + 1, 3, 10, 4)
    before = np.arange(10) < k
    xs = np.where((np.arange(10) <= k)[:, None], problems.xs, other.xs)
    changed = dataclasses.replace(
        problems, xs=xs, ys=1 - problems.ys, shown=np.where(before, problems.shown, 1 - problems.shown)
    )
    first, second = learner(name).answer(problems), learner(name).answer(changed)
    np.testing.assert_array_equal(first.probability[:, : k + 1], second.probability[:, : k + 1])
    np.testing.assert_array_equal(first.prediction[:, : k + 1], second.prediction[:, : k + 1])


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), chosen=st.lists(st.integers(0, 6), min_size=1, max_size=4))
def test_an_answer_does_not_depend_on_the_other_problems(name, seed, chosen):
    problems = random_problems(seed, 7, 8, 4)
    everything, some = learner(name).answer(problems), learner(name).answer(problems[np.array(chosen)])
    np.testing.assert_array_equal(everything.probability[chosen], some.probability)
    np.testing.assert_array_equal(everything.prediction[chosen], some.prediction)


@pytest.mark.parametrize(
    "text", ["majority", "threshold", "integer-halfspace", "monotone-dnf", "parity", "expr: x1 | x2"]
)
def test_exact_bayes_of_one_problem_is_that_of_many(text):
    problems = draw_problems(load(text), 3, 6, 5)
    for name in ("bayes", "bayes-labels"):
        alone = [learner(name).answer(problems[np.array([i])]).probability[0] for i in range(5)]
        np.testing.assert_array_equal(learner(name).answer(problems).probability, alone)


def test_a_feed_forward_network_learns_a_single_bit_and_is_the_same_in_any_company():
    problems = draw_problems(load("expr: x2"), 5, 25, 12)
    answers = learner("feed-forward").answer(problems)
    assert (answers.prediction[:, 20:] == problems.ys[:, 20:]).mean() > 0.95
    assert (answers.probability[:, 0] == 0.5).all()
    for chosen in ([0], [3, 11, 5], [*range(11, -1, -1)]):
        some = learner("feed-forward").answer(problems[np.array(chosen)])
        np.testing.assert_array_equal(some.probability, answers.probability[chosen])


def test_a_feed_forward_network_does_as_pytorch_layers_trained_on_the_prefix():
    import torch

    from llm_icl.learners.feed_forward import initial_weights

    problems = random_problems(0, 2, 5, 3)
    answers = learner("feed-forward:hidden=8,steps=20,rate=0.01").answer(problems)
    start = initial_weights(problems.indices, 0, 3, 8)
    for i, k in itertools.product(range(2), range(1, 5)):
        net = torch.nn.Sequential(
            torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1)
        )
        with torch.no_grad():
            for parameter, value in zip(net.parameters(), start, strict=True):
                parameter.copy_(
                    torch.from_numpy(value[i].T if value.shape[1] > 1 else value[i, 0]).reshape(parameter.shape)
                )
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        xs, ys = torch.from_numpy(problems.xs[i] * 2.0 - 1).float(), torch.from_numpy(problems.shown[i]).float()
        for _ in range(20):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(net(xs[:k])[:, 0], ys[:k]).backward()
            optimizer.step()
        assert answers.probability[i, k] == pytest.approx(torch.sigmoid(net(xs[k])).item(), abs=1e-4)


@pytest.mark.parametrize(
    "text", ["nearest-neighbour:k=0", "nearest-neighbour:k=1.5", "nearest-neighbour:tie=first", "logistic:c=0",
             "logistic:c=1e9", "nearest-neighbour:metric=l2", "elimination:target=dnf", "feed-forward:steps=0",
             "averaging:k=1", "byes"]
)  # fmt: skip
def test_a_wrong_option_is_refused(text):
    with pytest.raises(RequestError):
        learner(text)


def test_elimination_takes_its_target_from_the_task_and_refuses_others():
    targets = {"conjunction": "conjunction", "sparse-disjunction": "monotone-disjunction"}
    targets |= {"monotone-conjunction-llm": "monotone-conjunction", "disjunction-llm": "disjunction"}
    for task, target in targets.items():
        problems = draw_problems(load(task), 5, 12, 30)
        own, named = (learner(name).answer(problems) for name in ("elimination", f"elimination:target={target}"))
        np.testing.assert_array_equal(own.prediction, named.prediction)
    assert "elimination:target=conjunction" in learner("elimination").refusal(load("parity"), 5)
    assert learner("elimination:target=conjunction").refusal(load("parity"), 5) == ""


def test_a_task_that_a_learner_assumes_is_never_another_of_the_same_name(tmp_path):
    """Learners read the cards of llm-icl and of ./tasks; a folder of one's own may have others."""
    card = task_names()["conjunction"].read_text(encoding="utf-8")
    (tmp_path / "conjunction.yaml").write_text(card.replace("planted:", "bias: 0.3\nplanted:"))
    with pytest.raises(RequestError, match=r"'bayes:task=conjunction': learners assume tasks of llm-icl"):
        parse_learners(["bayes:task=conjunction"], tmp_path)
    assert [str(spec) for spec in parse_learners(["bayes:task=majority,bayes"], tmp_path)] == [
        "bayes:task=majority", "bayes",
    ]  # fmt: skip
