"""Every architecture of transformers gives, however it is asked, the probabilities of a pass over each whole prompt."""

import re
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.backends.architectures.families import NO_CURVE, RANDOM, REFUSED, UNFIT, candidates
from tests.backends.architectures.measuring import NotTinyError, measure

ROOT = Path(__file__).parents[3]
# Largest difference of a probability between two ways of computing it in float32.
TOLERANCE = 1e-5
LOCKED = re.search(r"^transformers==(\S+)", (ROOT / "locks" / "main.txt").read_text(), re.MULTILINE).group(1)


@pytest.mark.parametrize("name", candidates())
def test_every_way_of_asking_gives_the_probabilities_of_separate_prompts(name, tmp_path, record_property):
    try:
        found = measure(name, tmp_path)
    except NotTinyError as problem:
        if version("transformers") == LOCKED:
            raise
        pytest.skip(f"cannot be made tiny with this version of transformers: {problem}")
    if name in REFUSED:
        assert "it is not causal" in found.refused
        return
    if name in RANDOM:
        assert "hashes tokens at random" in found.refused
        return
    assert not found.refused
    record_property("largest difference", found.largest)
    assert found.spread > 1e-3  # the comparison can fail
    assert found.largest <= TOLERANCE
    assert found.replies_agree
    curves = (
        set()
        if name in NO_CURVE
        else {
            "curves",
            "curves together",
            "curves, no prefix shared",
            "queries behind the same examples",
        }
    )
    assert found.differences.keys() == {"positions"} | curves


@pytest.mark.skipif(version("transformers") != LOCKED, reason="the page is of the locked version")
def test_the_page_has_every_family():
    page = (ROOT / "docs" / "design" / "models.md").read_text(encoding="utf-8")
    asked = set(re.findall(r"^\| ([^|]+) \| \de-\d\d \|", page, re.MULTILINE))
    refused = re.search(r"^\*\*Refused\*\*.*: (.*)\.$", page, re.MULTILINE).group(1).split(", ")
    refused += re.search(r"^Refused, as .* at random: (.*)\.$", page, re.MULTILINE).group(1).split(", ")
    left_out = re.findall(r"^- (\S+): ", page, re.MULTILINE)
    assert (asked | set(refused), left_out) == (set(candidates()), list(UNFIT)), "run make models"
    assert len(asked) > 150
    assert f"that transformers {LOCKED} loads" in page, "run make models"
