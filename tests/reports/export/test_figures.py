"""Figures for paper: light, as wide as they should be, with text of 8 points."""

import re
import struct
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from llm_icl.reports.charts import Axis, Point, dots, lines
from llm_icl.reports.colours import colours_of
from llm_icl.reports.export.figures import COLUMN, PAGE, drawn, paper_specification, width_of

NAMES = ["bayes", "nearest-neighbour:k=3,tie=vote"]
X, Y = Axis("in-context examples"), Axis("accuracy", form="%")


def curves(wide=0.0, names=NAMES, shown=None):
    series = {name: [Point(x, x / 4, str(x)) for x in range(4)] for name in names}
    figure = lines("curves", "Curves", series, X, Y, colours_of(names), "It rises.", shown=shown, height=300)
    return replace(figure, wide=wide)


def bars(names, groups=()):
    rows = {f"{group}\n{name}" if groups else name: {"one": Point(0, 1, "1")} for group in groups or [""]
            for name in names}  # fmt: skip
    return dots("bars", "Bars", rows, Axis("value"), colours_of(["one"]), "One each.", groups=groups)


@pytest.fixture(scope="module")
def files():
    return drawn(curves())


def inches_of_png(content):
    """Width and height by the header and the density that a PNG states, in pixels per metre."""
    width, height = struct.unpack(">II", content[16:24])
    place = content.index(b"pHYs") + 4
    across, down = struct.unpack(">II", content[place : place + 8])
    return width / across / 0.0254, height / down / 0.0254, across * 0.0254


def test_all_three_files_have_the_size_on_paper(files):
    width, height = map(float, re.search(r'width="([\d.]+)" height="([\d.]+)"', files["svg"].decode()).groups())
    assert width / 96 == pytest.approx(COLUMN, abs=0.02)
    assert inches_of_png(files["png"]) == pytest.approx((width / 96, height / 96, 300), rel=0.01)
    box = re.search(rb"/MediaBox \[([\d. ]+)\]", files["pdf"])[1].split()
    assert [float(end) / 72 for end in box[2:]] == pytest.approx([width / 96, height / 96], rel=0.01)


def test_figures_are_light_and_have_text_of_eight_points(files):
    svg = files["svg"].decode()
    assert re.search(r'<rect width="\d+" height="\d+" fill="white"', svg)
    sizes = {float(size) for size in re.findall(r'font-size="([\d.]+)px"', svg)}
    assert sizes
    assert {round(size * 72 / 96, 2) for size in sizes} == {8.0}
    assert "<desc>It rises.</desc>" in svg


@pytest.mark.parametrize("name", ["a\x07b", "\ufffe", "a<b>&\"'", "]]>", "<script>alert(1)</script>", ""])
def test_any_name_can_be_drawn_and_stays_text(name):
    svg = drawn(replace(curves(names=[name, "x"]), says=name))["svg"].decode()
    elements = [element.tag.partition("}")[2] for element in ElementTree.fromstring(svg).iter()]
    assert set(elements) <= {"svg", "desc", "rect", "g", "path", "line", "text", "clipPath", "defs"}


def test_legends_and_heights_fit():
    specification = paper_specification(curves())
    assert specification["config"]["legend"]["columns"] == 1
    assert specification["height"] < 200
    assert paper_specification(curves(wide=40))["config"]["legend"]["columns"] == 3
    names = list("abcdefghijklmnop")
    assert paper_specification(bars(names))["height"] == bars(names).specification["height"]


def test_a_legend_names_the_series_that_are_drawn_and_no_others(files):
    assert all(f">{name}</text>" in files["svg"].decode() for name in NAMES)
    some = drawn(curves(names=["bayes", "averaging", "mine"], shown=["bayes", "mine"]))["svg"].decode()
    assert "averaging" not in some
    # A reference has its name at the end of its line too.
    assert [some.count(f">{name}</text>") for name in ("bayes", "mine")] == [2, 1]


def test_names_at_the_end_of_lines_have_room_behind_a_last_place():
    series = {"nearest-neighbour": [Point(n, 0.5, "") for n in (3, 5)]}
    places = lines("n", "n", series, Axis("n", "ordinal"), Y, colours_of(series), "It is flat.")
    assert 20 < paper_specification(places)["padding"]["right"] < 60
    assert paper_specification(curves())["padding"]["right"] == 1


def test_a_figure_takes_a_page_where_a_column_is_too_narrow():
    assert width_of(curves()) == COLUMN
    assert width_of(curves(wide=30)) == PAGE
    assert width_of(bars(["a", "b"])) == COLUMN
    assert width_of(bars(["a", "a" * 40])) == PAGE


def test_the_same_figure_has_the_same_files(files):
    assert drawn(replace(curves(), title="another")) == files


def test_panels_fill_a_page_and_no_more():
    svg = drawn(bars(["a set of texts", "b"], ["one", "two", "three"]))["svg"].decode()
    assert 0.85 * PAGE <= float(re.search(r'width="([\d.]+)"', svg)[1]) / 96 <= PAGE
