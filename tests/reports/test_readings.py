"""What every kind of figure says of its marks: by mouse, by finger and by keyboard."""

import random

import pytest

from llm_icl.reports.charts import Axis, Point, dots, heat_map, lines, reading
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Report, Section
from llm_icl.reports.files import write_report
from tests.reports.browser import PHONE, WIDE, told, visited

pytestmark = pytest.mark.browser

NAMES = ("bayes", 'a "b" & <i>c</i>', "model: d; e")
POINTS = {name: [Point(x, 0.1 + 0.02 * x + 0.2 * i, f"{name} says {x}", 0.05, 0.9) for x in range(25)]
          for i, name in enumerate(NAMES)}  # fmt: skip
FEW = {name: points[:4] for name, points in POINTS.items()}


def every_kind_of_figure():
    """With what each mark says, by the name of the figure."""
    colours, x, y = colours_of(NAMES), Axis("x (units)", "ordinal"), Axis("y", form="%")
    cells = [{"x": f"c{i}", "y": f"r{j}", "value": i + j, "text": "", "says": reading(f"r{j}", f"c{i}", f"{i}, {j}")}
             for i in range(5) for j in range(4)]  # fmt: skip
    rows = {row: {name: points[place] for name, points in FEW.items()} for place, row in enumerate(("p", "q", "r"))}
    grouped = {f"{group}\n{row}": points for group in ("one", "two") for row, points in rows.items()}
    figures = (
        lines("dense", "dense", POINTS, Axis("x"), y, colours, "says"),
        lines("few", "few", FEW, x, y, colours, "says", band=False, width=250),
        lines("scattered", "scattered", POINTS, Axis("x"), y, colours, "says", joined=False),
        dots("dots", "dots", rows, Axis("value"), colours, "says", zero=True),
        dots("grouped", "grouped", grouped, Axis("value"), colours, "says", groups=("one", "two")),
        heat_map("heat", "heat", cells, Axis("c"), Axis("r"), "says", domain=(0, 8)),
    )
    return figures, Report("Figures", sections=(Section("All", "all", figures),))


def test_what_is_compared_with_itself_has_its_diagonal_free():
    names = ["a", "b", "c"]
    cells = [{"x": other, "y": name, "value": 1, "text": "", "says": reading("", "", "")}
             for name in names for other in names if other != name]  # fmt: skip
    figure = heat_map("matrix", "matrix", cells, Axis("told from"), Axis("if this is the truth"), "says", domain=(0, 8))
    encoding = figure.specification["layer"][0]["encoding"]
    assert encoding["x"]["sort"] == encoding["y"]["sort"] == names


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    drawn, report = every_kind_of_figure()
    return drawn, write_report(report, tmp_path_factory.mktemp("figures"))


def readings(page, name):
    """Of each mark its three lines and its middle, in px of the page."""
    return page.locator(f"#all-{name} svg.marks [data-says*='says'], #all-{name} .mark-rect [data-says]").evaluate_all(
        "marks => marks.map(mark => { const box = mark.getBoundingClientRect(); return "
        "[mark.dataset.says.split('\\n'), box.x + box.width / 2, box.y + box.height / 2]; })")  # fmt: skip


@pytest.mark.parametrize("how", ["mouse", "tap"])
def test_every_kind_of_figure_says_names_and_values_at_fifty_places(browser, figures, how):
    drawn, path = figures
    touch = {"has_touch": True, "viewport": PHONE} if how == "tap" else {"viewport": WIDE}
    random.seed(0)
    with visited(browser, path, **touch) as page:
        for figure in drawn:
            page.locator(f"#all-{figure.name} figcaption").scroll_into_view_if_needed()
            page.evaluate("name => document.getElementById(name).scrollIntoView()", f"all-{figure.name}")
            marks = readings(page, figure.name)
            assert len(marks) >= 9
            # What is further right is hidden on a phone until the figure is scrolled.
            shown = [mark for mark in marks if mark[1] < page.viewport_size["width"] - 20]
            for (series, place, value), x, y in random.choices(shown, k=50):
                page.mouse.move(x, y) if how == "mouse" else page.touchscreen.tap(x, y)
                at, values = told(page)
                assert (at, values[series]) == (place, value)
                assert (set(values) == {series}) == figure.single


def test_arrow_keys_reach_every_place_of_every_kind_of_figure(browser, figures):
    drawn, path = figures
    with visited(browser, path, viewport=WIDE) as page:
        for figure in drawn:
            said = {(place, series): value for (series, place, value), _, _ in readings(page, figure.name)}
            page.locator(f"#all-{figure.name} .wide").focus()
            seen = set()
            keys = ["ArrowRight"] * 24 + ["Home"] + ["ArrowDown", "ArrowRight", "ArrowRight", "ArrowUp"] * 3 + ["End"]
            for key in keys:
                page.keyboard.press(key)
                if page.locator("#tip").is_visible():
                    at, values = told(page)
                    assert all(said[at, series] == value for series, value in values.items())
                    seen |= {(at, series) for series in values}
            assert seen == set(said) if not figure.single else len(seen) > 4
