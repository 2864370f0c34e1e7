"""Small parts of simulations that have no tests beside what they are about."""

import numpy as np
import pytest

from tests.simulations import few_answers, plan, probes, verdicts
from tests.simulations.identification import World


def test_planned_problems_find_the_planned_difference():
    setting = plan.SETTINGS[0]
    found = [setting.found(study)[1] for study in range(100)]
    assert 0.68 < np.mean(found) < 0.92  # 80 %, as asked, within three standard errors


def test_a_pilot_run_names_the_problems_of_a_study(monkeypatch):
    monkeypatch.setattr(plan, "MANY", 200)
    (setting, *_) = (each for each in plan.SETTINGS if each.pilot)
    problems, found = setting.found(0)
    assert 10 < problems < 200
    assert isinstance(found, bool)


@pytest.mark.parametrize("world", verdicts.WORLDS)
def test_equal_models_are_claimed_to_differ_in_at_most_one_report_of_twenty(world):
    assert verdicts.false_claims(np.random.default_rng(0), world, 60, 200) < 0.1  # three standard errors above 5 %


def test_searched_queries_need_fewer_problems_than_random_ones():
    _, _, pairs, *needed, random_to_searched, own_to_searched = probes.row("majority", 5)
    searched, _, random, *_ = (int(number) for number in needed)
    assert pairs > 200
    assert searched < random
    assert min(float(random_to_searched), float(own_to_searched)) > 1


@pytest.mark.parametrize("setting", few_answers.SETTINGS[:3])
def test_few_answers_call_no_outsider_an_algorithm_that_they_tell_from_it(setting):
    world = World("majority", 1, setting)
    found = [few_answers.seen(world, each) for each in world.subjects(twice=False) if each.verdict == "outsider"]
    assert len(found) == 10
    assert not [row for row in found if row["verdict"] == "single" and not row["alike"]]
    assert "called one algorithm" in few_answers.table([{**row, "setting": 0} for row in found])
