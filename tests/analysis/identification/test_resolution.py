"""How much of a subject's answers could follow something else: against simulated subjects that do."""

import numpy as np
import pytest
from scipy.special import ndtri

from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.resolution import times_as_many
from llm_icl.analysis.identification.verdict import PART, POWER
from tests.analysis.identification.making import design, drawn, flips
from tests.simulations.identification import Setting, World

LEVEL = 0.001


def strength(answers, model, other):
    """In standard deviations: the pull towards another's labels within queries of one size and one P(answer 1)."""
    pull, variance = 0.0, 0.0
    for m in range(len(model)):
        for value in np.unique(model[m]):
            at = model[m] == value
            rest = other[m][at] - other[m][at].mean()
            pull += (rest * (answers[m][at] - value)).sum() / (value * (1 - value))
            variance += (rest**2).sum() / (value * (1 - value))
    return pull / np.sqrt(variance)


def times(model, others, answers, probabilities=False, **given):
    return times_as_many(model, others, answers, probabilities, LEVEL, [POWER], **given)[0]


def labels(some):
    return np.zeros(some.shape)


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.2])
def test_another_that_is_run_on_a_part_is_found_by_so_many_problems_as_often_as_said(noise):
    def world(problems):
        some = design(problems=problems)
        first, other = (some.candidates[k].probability[0] for k in (0, 1))
        return some, noise + (1 - 2 * noise) * first, other

    some, model, other = world(60)
    (factor,) = times(model, other[None], labels(some))
    problems = round(60 * factor)
    assert 3 <= problems < 300
    _, model, other = world(problems)
    truth = (1 - PART) * model + PART * other
    found = [strength(drawn(truth, seed), model, other) > ndtri(1 - LEVEL) for seed in range(600)]
    assert abs(np.mean(found) - POWER) < 0.12  # these are other problems than those that the number is from


def test_what_says_the_same_is_never_found():
    some = design(problems=20)
    model = np.array([0.2, 0.4])[:, None, None] + 0.5 * some.candidates[0].probability[0]
    first = some.candidates[0].probability
    same = np.concatenate([first, 1 - first, first * 0])
    assert np.isinf(times(model, same, labels(some))).all()
    other = some.candidates[1].probability
    assert np.isinf(times(model, other, labels(some), near=0.9 * model + 0.1 * other))  # another variant of the family


def test_it_is_a_number_of_problems_and_answers_that_are_missing_do_not_count():
    def factor(problems, of=1.0):
        some = design(problems=problems)
        answers = np.where(np.arange(problems)[:, None] < of * problems, 0.0, np.full(some.shape, np.nan))
        model = 0.1 + 0.8 * some.candidates[0].probability[0]
        return times(model, some.candidates[1].probability, answers)[0]

    assert factor(320) == pytest.approx(factor(80) / 4, rel=0.2)
    assert factor(320, of=0.25) == pytest.approx(factor(80), rel=0.2)


def test_noise_of_probabilities_hides_another_and_ten_of_them_show_none():
    some = design(problems=20)
    model = 0.1 + 0.8 * some.candidates[0].probability[0]
    others = some.candidates[1].probability
    sure = times(model, others, model, probabilities=True)[0]
    assert sure < times(model, others, flips(model, 0.1), probabilities=True)[0]
    few = design(problems=10, sizes=(3,), queries=1)
    model = 0.1 + 0.8 * few.candidates[0].probability[0]
    assert times(model, few.candidates[1].probability, model, probabilities=True)[0] > 1


def test_an_algorithm_is_named_from_as_many_problems_as_show_what_else_it_might_be():
    """Averaging with 10 % of flips, and exact Bayes of another class, which 100 answers do not tell from averaging."""
    verdicts = {}
    for problems in (25, 100):
        world = World("majority", 0, Setting(5, problems, (10,), 4))
        names = world.design.names
        known = flips(world.design.candidates[names.index("averaging")].probability[0] > 0.5, 0.1)
        outsider = (world.outsider("bayes-labels:task=full-majority") > 0.5).astype(float)
        for subject, answers in (("known", known), ("outsider", outsider)):
            verdicts[subject, problems] = identify(
                world.design, answers.astype(float), probabilities=False, structure=world.structure, flexible=False
            )
    few = verdicts["known", 25]
    assert (few.verdict, few.names) == ("too few", ("averaging",))
    assert few.noticed < 0.5
    assert 25 < few.needed < 100
    named = verdicts["known", 100]
    assert (named.verdict, named.names) == ("single", ("averaging",))
    assert named.noticed > 0.8
    assert verdicts["outsider", 25].verdict == "too few"
    assert verdicts["outsider", 100].verdict in ("nearest", "none")
