"""What is drawn against the distributions of Bhattamishra et al. 2024, and every function against its definition.

Every statistical test here fails wrongly with a probability below 1e-6: a share is 5 standard deviations from its
expectation with probability 5.7e-7, and a chi-square test asks for p < 5e-7. Seeds are fixed, so none is flaky.
"""

import itertools
from math import comb

import numpy as np
import pytest
from scipy.stats import chisquare

from llm_icl.config.specs import parse_specs
from llm_icl.function_classes.base import all_inputs, function_class_of
from llm_icl.tasks.cards import load_task, task_names
from llm_icl.tasks.drawing import draw_problems

N = 20_000


def load(text):
    return load_task(parse_specs([text])[0])


def drawn(text, n, points=1, problems=N):
    return draw_problems(load(text), n, points, problems)


def by_chance(count, total, probability):
    return abs(count - total * probability) <= 5 * np.sqrt(total * probability * (1 - probability)) + 1e-9


def uniform(values, outcomes):
    """Whether values fall uniformly on the outcomes, all of them and no other."""
    found, counts = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, np.sort(outcomes))
    return chisquare(counts).pvalue > 5e-7


def number(bits):
    return (np.asarray(bits).astype(int) << np.arange(bits.shape[-1] - 1, -1, -1)).sum(axis=-1)


def small(n, at_7, above):
    return at_7 if n <= 7 else above


# P(a literal as it is), P(a negated literal), for each bit (of each term), at n.
LITERALS = {
    "conjunction": lambda n: (0.15, 0.15),
    "disjunction": lambda n: (0.15, 0.15),
    "conjunction-llm": lambda n: small(n, (0.25, 0.25), (0.15, 0.15)),
    "disjunction-llm": lambda n: small(n, (0.25, 0.25), (0.15, 0.15)),
    "monotone-conjunction": lambda n: (1 / 3, 0),
    "monotone-conjunction-llm": lambda n: small(n, (0.5, 0), (0.3, 0)),
    "dnf": lambda n: (0.1, 0.1),
    "cnf": lambda n: (0.1, 0.1),
    "monotone-dnf": lambda n: (0.2, 0),
    "monotone-cnf": lambda n: (0.2, 0),
    "majority": lambda n: (0.3, 0),
    "majority-llm": lambda n: small(n, (0.5, 0), (0.3, 0)),
    "full-majority": lambda n: (0.5, 0.5),
    "threshold": lambda n: (0.15, 0.15),
}
PLANTED = {  # the probability, and the label that planting makes
    **dict.fromkeys(["conjunction", "conjunction-llm", "monotone-conjunction", "monotone-conjunction-llm"], (0.3, 1)),
    **dict.fromkeys(["disjunction", "disjunction-llm", "sparse-disjunction", "cnf"], (0.3, 0)),
    "dnf": (0.35, 1),
    "monotone-dnf": (0.35, 1),
    "monotone-cnf": (0.35, 0),
}


def binomial(n, p):
    return [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)]


def above(k, threshold):
    """P(a sum of k fair ±1 > threshold)."""
    return sum(comb(k, ones) for ones in range(k + 1) if 2 * ones - k > threshold) / 2**k


def zero_sum(n):
    """P(n weights uniform on -3 … 3 add to 0), which their signs do not change."""
    law = np.array([1.0])
    for _ in range(n):
        law = np.convolve(law, np.full(7, 1 / 7))
    return law[3 * n]


def planting(card, true_without):
    share, label = PLANTED[card]
    return share * label + (1 - share) * true_without


def chance_of_one(card, n):
    """P(y = 1), from the definitions.

    A literal drawn with probabilities (p, q) holds at a uniform bit, or is absent, with probability 1 - (p + q) / 2.
    With p = q this is so at every input, so the terms of a DNF are independent; monotone ones are given the ones of x.
    """
    if card in ("parity",):
        return (1 - 2.0**-n) / 2
    if card in ("sparse-parity", "halfspace", "sparse-halfspace", "nearest-neighbour"):
        return 0.5
    if card == "integer-halfspace":
        return (1 - zero_sum(n)) / 2
    if card == "sparse-disjunction":
        return planting(card, 1 - 2.0**-4)
    p, q = LITERALS[card](n)
    if "majority" in card:
        return sum(share * above(k, 0.5) for k, share in enumerate(binomial(n, p + q)))
    if card == "threshold":
        thresholds = (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)
        return sum(share * above(k, t) / 6 for k, share in enumerate(binomial(n, p + q)) for t in thresholds)
    holds = 1 - (p + q) / 2
    if "conjunction" in card:
        return planting(card, holds**n)
    if "disjunction" in card:
        return planting(card, 1 - holds**n)
    if p == q:
        some_term = 1 - (1 - holds**n) ** 3
    else:
        some_term = sum(share * (1 - (1 - (1 - p) ** zeros) ** 3) for zeros, share in enumerate(binomial(n, 0.5)))
    return planting(card, some_term if card.endswith("dnf") else 1 - some_term)


@pytest.mark.parametrize("n", [5, 7, 8, 12])
@pytest.mark.parametrize("card", sorted(task_names()))
def test_labels_are_balanced_as_the_definitions_say(card, n):
    assert by_chance(drawn(card, n).ys.sum(), N, chance_of_one(card, n))


@pytest.mark.parametrize("n", [7, 8])
@pytest.mark.parametrize("card", sorted(LITERALS))
def test_every_bit_is_a_literal_with_the_stated_probabilities(card, n):
    parameters = drawn(card, n).parameters
    literals = parameters.get("literals", parameters.get("weights"))
    for sign, probability in zip((1, -1), LITERALS[card](n), strict=True):
        counts = (literals == sign).sum(axis=0)
        assert all(by_chance(count, N, probability) for count in counts.ravel())
    assert set(np.unique(literals)) <= {-1, 0, 1}
    if card.endswith(("dnf", "cnf")):
        assert literals.shape[1] == 3


def test_bits_of_one_formula_are_independent():
    literals = drawn("conjunction", 3).parameters["literals"]
    _, counts = np.unique((literals + 1) @ [9, 3, 1], return_counts=True)
    law = (0.15, 0.7, 0.15)
    expected = [N * a * b * c for a, b, c in itertools.product(law, law, law)]
    assert chisquare(counts, expected).pvalue > 5e-7


def test_thresholds_are_uniform():
    assert uniform(drawn("threshold", 5).parameters["threshold"], [-2.5, -1.5, -0.5, 0.5, 1.5, 2.5])


def test_integer_weights_are_uniform():
    assert uniform(drawn("integer-halfspace", 5).parameters["weights"], range(-3, 4))


def test_all_subsets_of_bits_are_equally_likely_parities():
    assert uniform(number(drawn("parity", 5).parameters["relevant"]), range(32))


@pytest.mark.parametrize(("card", "key", "k"), [("sparse-parity", "relevant", 2), ("sparse-disjunction", "literals", 4),
                                                ("sparse-halfspace", "weights", 3)])  # fmt: skip
def test_the_relevant_bits_are_a_uniform_subset_of_exactly_k(card, key, k):
    chosen = drawn(card, 6).parameters[key] != 0
    assert (chosen.sum(axis=1) == k).all()
    assert uniform(number(chosen), number(np.array([row for row in all_inputs(6) if row.sum() == k])))


def test_halfspace_weights_are_standard_normal():
    weights = drawn("halfspace", 5).parameters["weights"].ravel()
    for limit, probability in ((-1.959964, 0.025), (-0.674490, 0.25), (0.0, 0.5), (1.281552, 0.9)):
        assert by_chance((weights < limit).sum(), weights.size, probability)


@pytest.mark.parametrize("card", sorted(task_names()))
def test_inputs_without_planting_are_uniform(card):
    text = f"{card}:planted=0" if card in PLANTED else card
    assert uniform(number(drawn(text, 4, points=5).xs), range(16))


@pytest.mark.parametrize("card", sorted(PLANTED))
def test_planting_makes_the_label_and_leaves_the_other_bits_uniform(card):
    problems = drawn(f"{card}:planted=1", 6, points=3)
    assert (problems.ys == PLANTED[card][1]).all()
    literals = problems.parameters["literals"]
    first = literals[:, 0] if literals.ndim == 3 else literals
    free = np.repeat((first == 0)[:, None, :], 3, axis=1)
    assert by_chance(problems.xs[free].sum(), free.sum(), 0.5)


@pytest.mark.parametrize("card", sorted(task_names()))
def test_cards_plant_with_the_stated_probability(card):
    assert load(card).planted == PLANTED.get(card, (0, 0))[0]


def chance_of_covering(n):
    """P(one of three terms with literals at (0.1, 0.1) is empty), and P(the terms together cover all inputs).

    Without an empty term they cover in three ways only: two are a literal and its negation; or they are l, m, ~l & ~m;
    or l, ~l & m, ~l & ~m. (Other terms are true for too small a share of the inputs, or overlap.)
    """
    empty, single, double = 0.8**n, 0.1 * 0.8 ** (n - 1), 0.01 * 0.8 ** (n - 2)
    some_empty = 1 - (1 - empty) ** 3
    opposite = 3 * 2 * n * single**2 * (1 - empty) - 6 * n * single**3  # l, ~l, l is counted twice
    pair = 6 * 4 * comb(n, 2) * single**2 * double
    chain = 6 * 2 * n * (n - 1) * single * double**2
    return some_empty, some_empty + opposite + pair + chain


@pytest.mark.parametrize(("n", "some_empty", "covering"), [(5, 70, 73), (7, 51, 53), (10, 29, 30), (15, 10, 10)])
def test_a_dnf_is_constant_as_often_as_computed(n, some_empty, covering):
    exact, constant = chance_of_covering(n)
    assert (round(100 * exact), round(100 * constant)) == (some_empty, covering)
    task = load("dnf")
    parameters = drawn("dnf", n, problems=5 * N).parameters
    assert by_chance((parameters["literals"] == 0).all(axis=-1).any(axis=-1).sum(), 5 * N, exact)
    assert by_chance(function_class_of(task, n).is_constant(parameters).sum(), 5 * N, constant)


def test_the_chance_of_a_constant_dnf_agrees_with_a_list_of_all_of_them():
    rows = list(itertools.product((0, 1, -1), repeat=3))
    law = {0: 0.8, 1: 0.1, -1: 0.1}
    terms = [
        (
            np.prod([law[s] for s in row]),
            {x for x in itertools.product((-1, 1), repeat=3) if np.all(np.multiply(row, x) >= 0)},
        )
        for row in rows
    ]
    total = sum(p * q * r for (p, a), (q, b), (r, c) in itertools.product(terms, repeat=3) if len(a | b | c) == 8)
    assert total == pytest.approx(chance_of_covering(3)[1], abs=1e-12)


@pytest.mark.parametrize(("n", "percent"), [(5, 3.1), (7, 0.8), (10, 2.8), (15, 0.5)])
def test_a_conjunction_is_empty_as_often_as_computed(n, percent):
    exact = small(n, 0.5, 0.7) ** n
    assert round(100 * exact, 1) == percent
    assert by_chance((drawn("conjunction-llm", n).parameters["literals"] == 0).all(axis=1).sum(), N, exact)


def test_the_nearest_neighbour_task_chains_labels_as_a_plain_loop_does():
    for start, n in ((20, 4), (5, 4), (1, 8), (20, 10)):
        problems = drawn(f"nearest-neighbour:start={start}", n, points=40, problems=20)
        assert by_chance(problems.parameters["coins"].sum(), problems.parameters["coins"].size, 0.5)
        for xs, ys, coins in zip(problems.xs * 2.0 - 1, problems.ys, problems.parameters["coins"], strict=True):
            labels = []
            for k, x in enumerate(xs):
                cosines = [round(float(x @ other) / n, 7) for other in xs[:k]]
                repeats = k > 0 and max(cosines) == 1
                labels.append(labels[int(np.argmax(cosines))] if repeats or k >= start else int(coins[k]))
            assert ys.tolist() == labels


def plain(card, parameters, x):
    """The label of x by the definition; `parameters` of one function, as lists."""
    if "parity" in card:
        return sum(bit for bit, relevant in zip(x, parameters["relevant"], strict=True) if relevant) % 2
    if "weights" in parameters:
        total = sum(w * (1 if bit else -1) for w, bit in zip(parameters["weights"], x, strict=True))
        return int(total > (parameters["threshold"] if card == "threshold" else 0))

    def literals(row):
        return [bit if sign == 1 else 1 - bit for sign, bit in zip(row, x, strict=True) if sign]

    rows = parameters["literals"]
    if card.endswith("dnf"):
        return int(any(all(literals(row)) for row in rows))
    if card.endswith("cnf"):
        return int(all(any(literals(row)) for row in rows))
    return int(all(literals(rows)) if "conjunction" in card else any(literals(rows)))


@pytest.mark.parametrize("card", sorted(set(task_names()) - {"nearest-neighbour"}))
def test_every_function_has_the_values_of_its_definition(card):
    problems, inputs = drawn(card, 5, problems=100), all_inputs(5)
    values = function_class_of(load(card), 5).evaluate(problems.parameters, np.repeat(inputs[None], 100, axis=0))
    for i in range(100):
        parameters = {key: value[i].tolist() for key, value in problems.parameters.items()}
        assert values[i].tolist() == [plain(card, parameters, x) for x in inputs.tolist()]


@pytest.mark.parametrize("bound", [3, 20_000, 40_000])
def test_great_weights_do_not_overflow(bound):
    problems = drawn(f"integer-halfspace:bound={bound}", 9, points=20, problems=200)
    weights = problems.parameters["weights"].astype(np.int64)
    assert abs(weights).max() > 0.9 * bound
    sums = ((problems.xs.astype(np.int64) * 2 - 1) * weights[:, None]).sum(axis=-1)
    np.testing.assert_array_equal(problems.ys, sums > 0)


@pytest.mark.parametrize(
    ("formula", "meaning"),
    [
        ("(x1 & ~x3) | x4", lambda x: (x[0] and not x[2]) or x[3]),
        ("x1 ^ x2 ^ x4", lambda x: (x[0] + x[1] + x[3]) % 2),
        ("x1 and not x2 or x3", lambda x: (x[0] and not x[1]) or x[2]),
        ("not (X1 | x2) & 1", lambda x: not (x[0] or x[1])),
        ("~x1 ^ x2 & x3 | x4", lambda x: ((1 - x[0]) ^ (x[1] & x[2])) | x[3]),
        ("x2", lambda x: x[1]),
        ("0", lambda x: 0),
    ],
)
def test_a_formula_means_what_it_says(formula, meaning):
    problems = drawn(f"expr: {formula}", 4, points=60, problems=3)
    assert problems.ys.ravel().tolist() == [int(meaning(x)) for x in problems.xs.reshape(-1, 4).tolist()]


def test_a_truth_table_lists_the_labels_with_x1_as_the_first_digit():
    problems = drawn("table: 01101000", 3, points=60, problems=3)
    assert problems.ys.ravel().tolist() == [
        int("01101000"[4 * a + 2 * b + c]) for a, b, c in problems.xs.reshape(-1, 3)
    ]
