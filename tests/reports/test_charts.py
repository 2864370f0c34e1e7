"""A colour belongs to a name, and is seen on both pages."""

import re

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from llm_icl.reports.charts import COLOURS, COUNT, GREY, REFERENCES, Axis, Point, colours_of, lines, reading

NAMES = st.lists(st.text(max_size=12), unique=True, max_size=len(COLOURS))
PAGES = ("#ffffff", "#16181c")


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@given(NAMES)
def test_no_two_names_of_a_figure_share_a_colour_and_references_are_grey(names):
    colours = colours_of([*names, *REFERENCES])
    assert set(colours) == {*names, *REFERENCES}
    others = [colour for name, colour in colours.items() if name not in REFERENCES]
    assert len(set(others)) == len(others)
    assert GREY not in others
    assert {colours[name] for name in REFERENCES} == {GREY}


@given(NAMES)
def test_the_order_of_names_does_not_matter(names):
    assert colours_of([*reversed(names), *REFERENCES]) == colours_of([*names, *REFERENCES])


def test_a_name_has_the_same_colour_in_another_report():
    alone = colours_of(["smollm2-135m"])["smollm2-135m"]
    assert colours_of(["smollm2-135m", "bayes", "nearest-neighbour"])["smollm2-135m"] == alone
    taken = next(name for name in map(str, range(1000)) if colours_of([name])[name] == alone)
    assert colours_of([taken, "smollm2-135m"], ["smollm2-135m"])["smollm2-135m"] == alone


def test_more_names_than_colours_still_have_one_each():
    names = [f"network {i}" for i in range(60)]
    assert set(colours_of(names)) == set(names)


@pytest.mark.parametrize("page", PAGES)
def test_every_colour_has_a_contrast_of_three_to_one_with_both_pages(page):
    for colour in (*COLOURS, GREY):
        low, high = sorted((luminance(colour), luminance(page)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_references_are_told_apart_by_their_dashes():
    assert len({tuple(dash) for dash in REFERENCES.values()}) == len(REFERENCES)


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
