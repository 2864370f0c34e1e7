"""A colour belongs to a name, is seen on both pages, and is told apart by readers of every kind of vision."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_icl.reports.colours import COLOURS, GREY, REFERENCES, colours_of, dash_of

NAMES = st.lists(st.text(max_size=12), unique=True, max_size=len(COLOURS))
PAGES = ("#ffffff", "#16181c")
NOTICEABLE = 2.3  # distance in Lab (Mahy, Van Eycken & Oosterlinck 1994)


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


def test_more_names_than_colours_are_told_apart_by_their_dashes():
    colours = colours_of([*(f"network {i}" for i in range(90)), *REFERENCES])
    assert len({(colour, dash_of(name, colours)) for name, colour in colours.items()}) == len(colours)


def lab(colour, vision):
    """CIE Lab of a colour, at first reduced to what a dichromat sees of it (Viénot, Brettel & Mollon 1999)."""
    coded = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    seen = {
        "trichromat": np.eye(3),
        "protanope": [[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]],
        "deuteranope": [[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]],
    }[vision]
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt((xyz @ np.array(seen) @ linear).clip(0) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@given(st.lists(st.text(max_size=12), unique=True, min_size=2, max_size=6))
@pytest.mark.parametrize("vision", ["trichromat", "protanope", "deuteranope"])
def test_up_to_six_colours_are_told_apart(vision, names):
    seen = [lab(colour, vision) for colour in colours_of(names).values()]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > 2 * NOTICEABLE


@pytest.mark.parametrize("page", PAGES)
def test_every_colour_has_a_contrast_of_three_to_one_with_both_pages(page):
    for colour in (*COLOURS, GREY):
        low, high = sorted((luminance(colour), luminance(page)))
        assert (high + 0.05) / (low + 0.05) >= 3, colour


def test_references_are_told_apart_by_their_dashes():
    assert len({tuple(dash) for dash in REFERENCES.values()}) == len(REFERENCES)
