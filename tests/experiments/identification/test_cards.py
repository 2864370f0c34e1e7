"""What the card of an identified subject says."""

import dataclasses
import re

import pytest

from llm_icl.analysis.intervals import Estimate
from llm_icl.experiments.identification.cards import card_of
from llm_icl.experiments.identification.findings import read_findings
from tests.inside import run_inside


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cards")
    size = "--task majority --n 4 --examples 5,10 --contexts 30 --queries 4"
    done = run_inside("identify", "--learner", "averaging", *size.split(), "--out", "run", cwd=folder)
    assert done.returncode == 0, done.stderr
    (cell,) = read_findings(folder / "run")
    return cell, cell.found[0]


def test_a_card_has_the_numbers_of_the_finding(found):
    cell, one = found
    known = one.identification
    card = card_of(cell, one, "here")
    assert (card.of, card.where, card.findings["Algorithm"].badge, card.findings["Trust"].badge) == (
        "averaging",
        "here",
        "clear",
        "clear",
    )
    assert card.findings["Algorithm"].text.startswith("averaging explains")
    points, share = re.findall(r"([\d.]+) points .* loses (\d+) % of that too", card.findings["Distance"].text)[0]
    assert float(points) == pytest.approx(100 * known.regret, abs=0.051)
    assert float(share) == pytest.approx(100 * known.regret_explained, abs=0.51)
    assert f"{len(known.candidates)} candidates were compared" in card.findings["Trust"].text


@pytest.mark.parametrize(
    ("verdict", "names", "high", "badge"),
    [
        ("single", ("a",), 0.9, "clear"),
        ("single", ("a", "b"), 0.9, "weak"),
        ("nearest", ("a",), 0.7, "weak"),
        ("none", (), 0.4, "clear"),
        ("none", (), 0.6, "weak"),  # perhaps more than half is explained
        ("too few", ("a", "b"), 0.9, "can't tell"),
    ],
)
def test_each_verdict_has_its_badge(found, verdict, names, high, badge):
    cell, one = found
    share = Estimate(0.3, 0.2, high)
    known = dataclasses.replace(one.identification, verdict=verdict, names=names, share=share)
    assert card_of(cell, dataclasses.replace(one, identification=known), "here").findings["Algorithm"].badge == badge


def test_without_enough_answers_nothing_is_claimed(found):
    cell, one = found
    card = card_of(cell, dataclasses.replace(one, identification=None, answered=0.1), "here")
    assert [finding.badge for finding in card.findings.values()] == ["can't tell"] * 3
    assert "10 % answered" in card.findings["Trust"].text
