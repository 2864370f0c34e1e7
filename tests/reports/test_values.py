"""How numbers are written."""

import math
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from llm_icl.analysis.intervals import IDENTICAL, NOTHING, Estimate
from llm_icl.config.specs import counted
from llm_icl.experiments.finetuning.published import PUBLISHED, RECOVERY
from llm_icl.reports.values import Kind, written


def test_a_value_stands_with_its_interval():
    estimate = Estimate(0.125, -0.0625, 0.25)
    assert written(estimate, "share") == "12.5 [-6.2, 25.0]"
    assert written(estimate, "points") == "+12.5 [-6.2, +25.0]"
    assert written(estimate, "change") == "+12.50 [-6.25, +25.00]"
    assert written(estimate, "number") == "0.125 [-0.062, 0.250]"
    assert written(Estimate(4e-7, -0.2, 0.2), "number") == "0.000 [-0.200, 0.200]"


def test_a_p_value_is_never_0():
    assert [written(p, "p") for p in (1.0, 0.0204, 0.001, 0.00099, 0.0)] == [
        "1.000", "0.020", "0.001", "< 0.001", "< 0.001",
    ]  # fmt: skip


def test_what_is_not_known_is_not_written():
    for kind in get_args(Kind):
        assert [written(value, kind) for value in (NOTHING, math.nan, None)] == [""] * 3


def test_an_interval_without_an_end_is_not_written():
    for low, high in ((-math.inf, math.inf), (0.0, math.inf)):
        assert written(Estimate(0.5, low, high), "number") == "0.500"


def test_where_there_are_too_few_problems_for_an_interval_it_says_so():
    assert written(Estimate(0.125, math.nan, math.nan), "points") == "+12.5 [too few]"
    assert written(Estimate(0.0, math.nan, math.nan), "number") == "0.000 [too few]"
    for kind in ("points", "number"):
        assert written(IDENTICAL, kind) == "identical"


def test_examples_needed_are_a_number_only_where_they_are_shown():
    assert written(Estimate(12.0, 8.0, 20.0), "examples") == "12 [8, 20]"
    assert written(Estimate(math.inf, 8.0, math.inf), "examples") == "not shown"
    assert written(Estimate(math.inf, math.inf, math.inf), "examples") == "not reached"


def test_plain_numbers_have_the_form_of_their_kind():
    assert written(12345, "count") == "12,345"
    assert written(0.5, "share") == "50.0"
    assert written(4612345.0, "power") == "4.61e6"
    assert written(3e-16, "rounding") == "3.0e-16"
    assert written(1.256, "tenths") == "1.3"


@given(st.text(), st.sampled_from(get_args(Kind)))
def test_text_is_written_as_it_is(text, kind):
    assert written(text, kind) == text


def test_published_shares_have_the_digits_that_were_published():
    for texts in PUBLISHED.values():
        for values in texts.values():
            for key in ("zs", "ft", "icl", RECOVERY):
                assert written(values[key] / 100, "share") == f"{values[key]:.1f}"


def test_one_is_one():
    assert [counted(number, "call") for number in (0, 1, 2, 12345)] == ["0 calls", "1 call", "2 calls", "12,345 calls"]
