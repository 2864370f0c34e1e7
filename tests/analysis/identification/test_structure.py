"""What is left: nothing where a model holds, and what was planted where it does not."""

import dataclasses

import numpy as np
import pytest

from llm_icl.analysis.identification.alone import log_scores
from llm_icl.analysis.identification.flexible import on_top
from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.analysis.identification.strata import centred, permutations, strata_of
from llm_icl.analysis.identification.structure import Structure
from tests.analysis.identification.making import design, drawn, flips


def model_of(some, k=0, noise=0.1):
    return (1 - 2 * noise) * some.candidates[k].probability[0] + noise


@pytest.mark.parametrize("probabilities", [False, True])
def test_p_values_are_uniform_where_the_model_holds(probabilities):
    """Labels drawn from the model; and probabilities that deviate at random, all by as much."""
    p_values = []
    for seed in range(120):
        some = design(seed, problems=16)
        structure, model = Structure(some), model_of(some)
        answers = flips(some.candidates[0].probability[0], 0.1, seed)
        p_values.append(structure.left(answers, model, probabilities, 0.0, seed).p_value)
    p_values = np.array(p_values)
    assert (p_values < 0.05).mean() < 0.12
    assert 0.35 < (p_values < 0.5).mean() < 0.65


def planted(some, kind):
    """Answers of candidate 0 with flips, and something else."""
    answers = flips(some.candidates[0].probability[0], 0.1, 1)
    random = np.random.default_rng(2)
    other = some.candidates[1].probability[0]
    if kind == "linear":
        return np.where(random.random(answers.shape) < 0.4, other, answers)
    if kind == "slopes":  # towards another in some contexts, and away from it in others
        follows = random.random(answers.shape[:2])[..., None]
        return np.where(follows < 0.3, other, np.where(follows < 0.6, 1 - other, answers))
    if kind == "clusters":  # always the same answer in some contexts
        constant = random.random(answers.shape[:2])[..., None]
        return np.where(constant < 0.2, 1.0, np.where(constant < 0.4, 0.0, answers))
    product = (some.queries[..., 0] ^ some.queries[..., 1]).astype(float)  # no single feature shows it
    return np.where(random.random(answers.shape) < 0.6, product, answers)


@pytest.mark.parametrize("kind", ["linear", "slopes", "clusters", "flexible"])
def test_planted_structure_is_found(kind):
    some = design(problems=48)
    answers = planted(some, kind)
    share = [np.nanmean(answers[some.candidates[0].probability[0] == v]) for v in (0, 1)]
    model = np.where(some.candidates[0].probability[0] == 1, share[1], share[0])
    left = Structure(some).left(answers, model, False, 0.0, 0)
    assert left.p_value < 0.02
    assert min(left.kinds, key=left.kinds.get) == kind or left.kinds[kind] < 0.01
    if kind == "linear":
        assert left.about == "the answers of c1"
        assert left.gain > 5


def test_a_strong_pull_needs_no_simulation():
    some = design(problems=48)
    left = Structure(some).left(some.candidates[2].probability[0], np.full(some.shape, 0.5), False, 0.0, 0)
    assert (left.p_value, left.about, left.kinds) == (0.0, "the answers of c2", {"linear": 0.0})


def test_deviations_of_probabilities_that_hardly_matter_do_not_count():
    some = design(problems=48, soft=True)
    model = 0.1 + 0.8 * some.candidates[0].probability[0]
    answers = model + 0.004 * (some.candidates[1].probability[0] - 0.5)
    explained = 100.0
    assert Structure(some).left(answers, model, True, explained, 0).p_value > 0.05
    more = model + 0.15 * (some.candidates[1].probability[0] - 0.5)
    left = Structure(some).left(more, model, True, explained, 0)
    assert (left.p_value, left.about) == (0.0, "the answers of c1")


def test_missing_answers_do_not_count():
    some = design(problems=30)
    answers = flips(some.candidates[0].probability[0], 0.1, 0)
    gone = np.random.default_rng(1).random(answers.shape) < 0.3
    nonsense = np.where(gone, np.nan, answers)
    left = Structure(some).left(nonsense, model_of(some), False, 0.0, 0)
    assert left.p_value > 0.01
    # one query left in each context: nothing to compare within it
    alone = np.where(np.arange(some.shape[2]) == 0, answers, np.nan)
    assert Structure(some).left(alone, model_of(some), False, 0.0, 0).p_value > 0.01


def test_one_query_one_size_and_few_problems_are_enough_to_ask():
    some = design(sizes=(3,), problems=3, queries=1, candidates=1)
    assert Structure(some).left(drawn(np.full(some.shape, 0.5)), np.full(some.shape, 0.5), False, 0.0, 0).p_value > 0.05


def test_the_smoother_predicts_problems_from_others_only():
    some = design(problems=10)
    structure = Structure(some)
    folds = structure.folds
    assert (structure.smoother[folds[:, None] == folds] == 0).all()
    assert (structure.smoother[folds[:, None] != folds] != 0).any()


def test_a_large_design_trains_the_flexible_model_on_a_part(monkeypatch):
    monkeypatch.setattr("llm_icl.analysis.identification.structure.MOST", 600)
    some = design(problems=100)
    structure = Structure(some)
    assert len(structure.trained) == 50 * 12  # 50 problems of 12 queries
    model = np.full(some.shape, 0.5)
    answers = flips((some.queries[..., 0] ^ some.queries[..., 1]).astype(float), 0.05)
    assert structure.left(answers, model, False, 0.0, 0).kinds["flexible"] < 0.05
    assert on_top(structure, answers, model).sum() > log_scores(answers, model).sum()


def test_strata_hold_answers_of_one_size_and_similar_probability():
    model = np.random.default_rng(0).random((2, 30, 5))
    known = np.random.default_rng(1).random(model.shape) < 0.9
    strata = strata_of(model, known)
    assert ((strata == -1) == ~known).all()
    for s in range(strata.max() + 1):
        sizes, *_ = np.nonzero(strata == s)
        assert len(set(sizes)) == 1
        assert np.ptp(model[strata == s]) < 0.35
    values = centred(np.random.default_rng(2).random((300, 2)), strata.ravel())
    assert all(abs(values[strata.ravel() == s].sum()) < 1e-9 for s in range(strata.max() + 1))
    assert (values[strata.ravel() == -1] == 0).all()


def test_permutations_stay_within_strata():
    strata = np.random.default_rng(0).integers(-1, 4, 200)
    rows = permutations(strata, 5, np.random.default_rng(1))
    assert rows[0].tolist() == list(range(200))
    for row in rows[1:]:
        assert sorted(row.tolist()) == list(range(200))
        np.testing.assert_array_equal(strata[row], strata)
        assert (row != np.arange(200)).sum() > 150


def test_features_that_all_are_equal_are_left_out():
    some = design()
    flat = dataclasses.replace(some, candidates=some.candidates[:1] * 3)
    _, names = Structure(flat).linear
    assert names.count("the answers of c0") == 1


@pytest.mark.parametrize("times", [2, 3, 10])
def test_deviations_that_come_back_are_found_and_others_are_as_rare_as_they_should_be(times):
    some = design(problems=32)
    structure, model = Structure(some), model_of(some, noise=0.05)
    every, p_values = np.broadcast_to(model, (499, *model.shape)), []
    all_of_them = np.ones(model.shape, dtype=bool)
    for seed in range(40):
        random = np.random.default_rng(1000 + seed)
        first, others = drawn(model, seed), random.binomial(times - 1, model)
        count = np.full(model.shape, times)
        chance = Repeats(count, others + first.astype(int)).come_back(first, model, every, all_of_them, random)
        p_values.append(structure.left(first, model, False, 0.0, seed, repeats=chance).kinds["repeats"])
        back = Repeats(count, times * first.astype(int)).come_back(first, model, every, all_of_them, random)
        assert structure.left(first, model, False, 0.0, seed, repeats=back).kinds["repeats"] < 0.01
    assert 0.3 < np.mean(p_values) < 0.7
    assert np.mean(np.array(p_values) < 0.1) < 0.3


def test_deviations_of_repeated_answers_by_hand():
    """The first answer 1 with P = 0.8, then 1 and 0: 0.2 · (0.5 - 0.8). Of 0 and 0 with P = 0.5: 0.25."""
    repeats = Repeats(np.array([[[3, 1, 2, 2]]]), np.array([[[2, 1, 0, 2]]]))
    first, model = np.array([[[1.0, 1.0, 0.0, 1.0]]]), np.array([[[0.8, 0.8, 0.5, 0.1]]])
    counted = np.array([[[True, True, True, False]]])
    found = repeats.come_back(first, model, np.zeros((0, 1, 1, 4)), counted, np.random.default_rng(0))
    np.testing.assert_allclose(found, [0.2 * -0.3 + 0.25])
    # Two answers of the model are unrelated
    every = np.broadcast_to(model, (4000, *model.shape))
    simulated = repeats.come_back(first, model, every, counted, np.random.default_rng(2))[1:]
    assert abs(simulated.mean()) < 5 * simulated.std() / np.sqrt(4000)
