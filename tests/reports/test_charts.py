"""Figures: every mark has its reading, axes their numbers."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
import vl_convert

from llm_icl.reports.charts import COUNT, Axis, Point, lines, reading
from llm_icl.reports.colours import colours_of


def test_every_point_has_its_reading_and_interval():
    series = {"m": [Point(3, 0.5, "50.0 %", 0.4, 0.6), Point(4, 0.75, "75.0 %")], "bayes": [Point(3, 1.0, "100 %")]}
    drawn = lines("by-n", "t", series, Axis("n (input bits)", "ordinal"), Axis("y"), colours_of(series), "says")
    rows = [row for layer in drawn.specification["layer"] for row in layer["data"]["values"]]
    said = {row["says"] for row in rows if "says" in row}
    assert said == {"m\nn: 3\n50.0 %", "m\nn: 4\n75.0 %", "bayes\nn: 3\n100 %"}
    assert [(row["low"], row["high"]) for row in rows if row.get("low")] == [(0.4, 0.6)]
    assert [key.name for key in drawn.keys] == ["m", "bayes"]


def test_a_reading_has_three_lines_whatever_is_in_them():
    assert reading("a\nb", "c\r\nd", "e").split("\n") == ["a b", "c d", "e"]


@pytest.mark.parametrize("last", [1, 2, 3, 8, 40])
def test_an_axis_of_whole_numbers_has_no_others(last):
    axis = Axis("in-context examples", form=COUNT, domain=(0, last))
    points = {"m": [Point(0, 0.5, ""), Point(last, 1.0, "")]}
    figure = lines("f", "t", points, axis, Axis("y", form="%"), {"m": "red"}, "")
    labels = re.findall(r"<text[^>]*>([0-9.]+)</text>", vl_convert.vegalite_to_svg(figure.specification))
    assert len(labels) == len(set(labels)) > 1
    assert set(labels) <= set(map(str, range(last + 1)))


def test_names_at_the_ends_are_led_to_from_where_their_lines_end():
    """Of lines that end together the better learner's name stands above; none lies on another, or outside."""
    last = {"best-constant": 0.98, "nearest-neighbour": 1.0, "bayes": 1.0, "bayes-labels": 1.0}
    series = {key: [Point(0, 0.5, ""), Point(9, value, "")] for key, value in last.items()}
    figure = lines("n", "n", series, Axis("m"), Axis("y", domain=(0, 1)), colours_of(series), "They rise.")
    *_, leaders, names = figure.specification["layer"]
    assert leaders["data"] == names["data"]
    rows = names["data"]["values"]
    assert [row["series"] for row in rows] == ["best-constant", "nearest-neighbour", "bayes-labels", "bayes"]
    assert {row["series"]: row["end"] for row in rows} == last
    heights = [row["y"] for row in rows]
    assert heights[-1] == 1.0
    assert all(above - below == pytest.approx(0.075) for below, above in pairwise(heights))
    drawn = ElementTree.fromstring(vl_convert.vegalite_to_svg(figure.specification | {"width": 300}))
    assert len([line for line in drawn.iter("{http://www.w3.org/2000/svg}line") if line.get("x2") == "10"]) >= 4
