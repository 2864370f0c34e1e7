"""How numbers are written."""

import math

from llm_icl.analysis.intervals import NOTHING, Estimate
from llm_icl.config.specs import counted
from llm_icl.reports.estimates import change, examples, number, points, share


def test_a_value_stands_with_its_interval():
    estimate = Estimate(0.125, -0.0625, 0.25)
    assert share(estimate) == "12.5 [-6.2, 25.0]"
    assert points(estimate) == "+12.5 [-6.2, +25.0]"
    assert change(estimate) == "+12.50 [-6.25, +25.00]"
    assert number(estimate) == "0.125 [-0.062, 0.250]"
    assert number(Estimate(4e-7, -0.2, 0.2)) == "0.000 [-0.200, 0.200]"


def test_what_is_not_known_is_not_written():
    assert [form(NOTHING) for form in (share, points, change, number, examples)] == [""] * 5


def test_an_interval_without_an_end_is_not_written():
    for low, high in ((-math.inf, math.inf), (0.0, math.inf)):
        assert number(Estimate(0.5, low, high)) == "0.500"
    assert examples(Estimate(12.0, 8.0, math.inf)) == "12 [8, never]"


def test_one_is_one():
    assert [counted(number, "call") for number in (0, 1, 2, 12345)] == ["0 calls", "1 call", "2 calls", "12,345 calls"]
