"""How much of a subject's answers could follow something else: against simulated subjects that do."""

import numpy as np
import pytest
from scipy.special import ndtri

from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.resolution import unnoticed
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
            pull += (rest * (answers[m][at] - value)).sum()
            variance += value * (1 - value) * (rest**2).sum()
    return pull / np.sqrt(variance)


def test_another_that_is_run_on_this_share_is_found_as_often_as_said():
    some = design(problems=60)
    model, other = 0.1 + 0.8 * some.candidates[0].probability[0], some.candidates[1].probability[0]
    (share,) = unnoticed(model, other[None], np.zeros(some.shape), False, LEVEL)
    assert 0.02 < share < 0.5
    truth = (1 - share) * model + share * other
    found = [strength(drawn(truth, seed), model, other) > ndtri(1 - LEVEL) for seed in range(600)]
    assert abs(np.mean(found) - POWER) < 0.06  # three and a half standard errors, and the variance of the mixture


def test_what_says_the_same_is_never_found():
    some = design(problems=20)
    model = np.array([0.2, 0.4])[:, None, None] + 0.5 * some.candidates[0].probability[0]
    first = some.candidates[0].probability
    same = np.concatenate([first, 1 - first, first * 0])
    assert np.isinf(unnoticed(model, same, np.zeros(some.shape), False, LEVEL)).all()


def test_more_problems_resolve_more_and_answers_that_are_missing_nothing():
    def share(problems, of=1.0):
        some = design(problems=problems)
        answers = np.where(np.arange(problems)[:, None] < of * problems, 0.0, np.full(some.shape, np.nan))
        model = 0.1 + 0.8 * some.candidates[0].probability[0]
        return unnoticed(model, some.candidates[1].probability, answers, False, LEVEL)[0]

    assert share(320) == pytest.approx(share(80) / 2, rel=0.2)
    assert share(320, of=0.25) == pytest.approx(share(80), rel=0.2)


def test_probabilities_without_noise_show_any_other():
    some = design(problems=20)
    model = 0.1 + 0.8 * some.candidates[0].probability[0]
    others = some.candidates[1].probability
    assert unnoticed(model, others, model, True, LEVEL)[0] == 0
    noisy = flips(model, 0.1)
    assert unnoticed(model, others, noisy, True, LEVEL)[0] > 0.01


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
    assert few.resolves > PART
    assert 25 < few.needed < 100
    named = verdicts["known", 100]
    assert (named.verdict, named.names) == ("single", ("averaging",))
    assert named.resolves < PART
    assert verdicts["outsider", 25].verdict == "too few"
    assert verdicts["outsider", 100].verdict in ("nearest", "none")
