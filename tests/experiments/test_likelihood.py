"""Verdicts on queries that were asked anyway: a small part of `tests/simulations/asked_anyway.py`, and single cases."""

import json
import re

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.experiments.likelihood import LEAST_PROBLEMS, Likelihood, by_position
from llm_icl.learners.base import learner_of
from llm_icl.reports.algorithms import sentence
from tests.simulations.asked_anyway import World, names_an_algorithm


@pytest.fixture(scope="module")
def worlds():
    return {setting: World(setting, 1000) for setting in ("demo", "conjunction")}


def test_what_follows_nothing_is_called_no_algorithm(worlds):
    """45 models on the demonstration's problems, and 18 on larger ones."""
    for setting, times in (("demo", 5), ("conjunction", 2)):
        found = [worlds[setting].outcome(*each) for _ in range(times) for each in worlds[setting].models()]
        assert sum(map(names_an_algorithm, found)) <= len(found) / 50, found
        assert all(row["verdict"] == "independent" for row in found if row["kind"].startswith("always"))


def test_known_machines_are_named_on_many_queries_and_never_another(worlds):
    for setting, least in (("demo", 0), ("conjunction", 6)):
        world = worlds[setting]
        found = [world.outcome("known machine", labels, False, name) for name, labels in world.machines()]
        named = [row for row in found if names_an_algorithm(row)]
        assert len(named) >= least
        assert all(row["truth"] in row["names"] for row in named), found


def test_probabilities_tell_more_than_labels(worlds):
    world = worlds["conjunction"]
    exact = learner_of(parse_specs(["bayes-labels"])[0]).answer(world.problems).probability
    found = world.likelihood.verdict(exact, probabilities=True)
    assert (found["verdict"], found["names"]) == ("single", ["bayes-labels"])
    assert found["share"][0] > 0.98
    assert found["answers"] == world.likelihood.observed.queries
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert re.search(r"those of bayes-labels, up to noise \((9\d(\.\d)?|100) % ", sentence(found))


def test_what_the_queries_hardly_tell_apart_is_said(worlds):
    """A candidate that most others are like on so few queries is not named; if few others are, it is, with them."""
    likelihood = worlds["demo"].likelihood
    for name, labels in worlds["demo"].machines():
        found = likelihood.verdict(labels, False)
        if found["verdict"] == "single":
            assert len(found["close"]) <= len(likelihood.design.names) / 2
            needed = likelihood.separation.needed[likelihood.design.names.index(found["names"][0])]
            for other, count in zip(likelihood.design.names, needed, strict=True):
                assert (other in found["close"]) == (count > 24 and other not in found["names"]), name


def test_missing_answers_and_few_problems(worlds):
    world = worlds["conjunction"]
    nothing = np.full(world.problems.ys.shape, np.nan)
    found = world.likelihood.verdict(nothing, False)
    assert (found["verdict"], found["names"], found["answers"], found["problems"]) == ("too few", [], 0, 0)
    late = nothing.copy()
    late[:, 20:] = world.problems.ys[:, 20:]
    assert world.likelihood.verdict(late, False)["verdict"] in ("too few", "independent", "single", "nearest", "none")
    few = Likelihood([world.problems[: LEAST_PROBLEMS - 1]], range(50), {})
    assert few.verdict(world.problems.ys[: LEAST_PROBLEMS - 1].astype(float), False)["verdict"] == "too few"
    assert few.observed is None


def test_values_at_some_positions_are_placed():
    placed = by_position(np.array([[1.0, 2.0], [3.0, 4.0]]), (1, 3), 5)
    np.testing.assert_array_equal(placed, [[np.nan, 1, np.nan, 2, np.nan], [np.nan, 3, np.nan, 4, np.nan]])
