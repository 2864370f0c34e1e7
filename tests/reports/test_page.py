"""The page of a report as a person uses it: with a mouse, a finger and a keyboard, on paper, and without scripts."""

import json
import random
import re
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

import polars as pl
import pytest

from llm_icl.experiments.evaluation.report import report_of
from llm_icl.problems import ANSWERED
from llm_icl.reports.files import write_report
from llm_icl.runs import RunDirectory
from tests.reports.browser import PHONE, WIDE, told, visited
from tests.reports.making import synthetic_run

HOSTILE = '<script>document.title = "taken"</script><img src=x onerror="document.title=\'taken\'">'
CELLS = [f"{task}-n{n}" for task in ("majority", "conjunction") for n in (3, 4)]

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Two tasks, two n and two models, one with a name that a page must not run."""
    folder = tmp_path_factory.mktemp("page") / "run"
    synthetic_run(folder, models=("model-a", HOSTILE), said=f"{HOSTILE} Zebra", task=["majority", "conjunction"],
                  n=[3, 4], points=10, problems=12)  # fmt: skip
    run = RunDirectory(folder)
    write_report(report_of([run]), folder)
    return folder


@pytest.fixture(scope="module")
def frame(run):
    right = (pl.col("prediction") == pl.col("label")).fill_null(False)
    return pl.read_parquet(run / "predictions.parquet").with_columns(right=right)


@pytest.fixture
def page(browser, run):
    with visited(browser, run / "report.html", viewport=WIDE) as one:
        yield one


def open_cell(page, anchor):
    page.evaluate("anchor => { document.getElementById(anchor).open = true; }", anchor)
    page.wait_for_selector(f"#{anchor}-learning-curves svg.marks")


def shares(frame, task, n):
    own = frame.filter(pl.col("task") == task, pl.col("n") == n)
    return {(name, at): 100 * share for name, at, share in own.group_by("learner", "position").agg(
        pl.col("right").mean()).iter_rows()}  # fmt: skip


def is_right(place, values, expected, names):
    """Whether every shown learner stands with its share at this place."""
    at = int(place.split(": ")[1])
    assert set(values) == names
    for name, said in values.items():
        share, low, high = map(float, re.findall(r"[\d.]+", said.replace("%", "")))
        assert share == pytest.approx(expected[name, at], abs=0.051)
        assert low <= share <= high
    return at


SHOWN = {"model-a", HOSTILE, "bayes", "bayes-labels", "nearest-neighbour", "best-constant"}


def test_a_mouse_gets_every_shown_learner_with_its_number_at_fifty_places(page, frame):
    open_cell(page, "majority-n3")
    expected, seen = shares(frame, "majority", 3), set()
    drawing = page.locator("#majority-n3-learning-curves svg.marks")
    drawing.scroll_into_view_if_needed()
    box = drawing.bounding_box()
    for i in range(50):
        page.mouse.move(box["x"] + 60 + (box["width"] - 200) * i / 49, box["y"] + 20 + (i * 37) % 180)
        seen.add(is_right(*told(page), expected, SHOWN))
    assert len(seen) == 10
    page.mouse.move(2, 2)
    assert page.locator("#tip").is_hidden()


def test_arrow_keys_read_a_curve_from_end_to_end(page, frame):
    open_cell(page, "conjunction-n4")
    expected, seen = shares(frame, "conjunction", 4), []
    page.locator("#conjunction-n4-learning-curves .wide").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
        seen.append(is_right(*told(page), expected, SHOWN))
    assert seen == list(range(10))
    page.keyboard.press("Home")
    assert is_right(*told(page), expected, SHOWN) == 0
    page.keyboard.press("End")
    assert is_right(*told(page), expected, SHOWN) == 9
    page.keyboard.press("Escape")
    assert page.locator("#tip").is_hidden()


def test_a_tap_reads_a_curve_on_a_phone(browser, run, frame):
    expected = shares(frame, "majority", 4)
    with visited(browser, run / "report.html", viewport=PHONE, has_touch=True, is_mobile=True) as page:
        open_cell(page, "majority-n4")
        drawing, seen = page.locator("#majority-n4-learning-curves svg.marks"), set()
        drawing.scroll_into_view_if_needed()
        for side in (0, 1000):  # the figure is wider than the phone
            page.evaluate("x => document.querySelector('#majority-n4-learning-curves .wide').scrollTo(x, 0)", side)
            box = drawing.bounding_box()
            for i in range(5):
                page.touchscreen.tap(60 + 280 * i / 4, box["y"] + box["height"] / 2)
                seen.add(is_right(*told(page), expected, SHOWN))
        assert len(seen) > 5


def test_accuracy_against_n_is_read_in_the_page_as_it_was_written(page, frame):
    means = {(name, n): 100 * share for name, n, share in frame.filter(pl.col("task") == "majority").group_by(
        "learner", "n").agg(pl.col("right").mean()).iter_rows()}  # fmt: skip
    place = page.locator("figure[data-file^=overview] .wide").first
    place.focus()
    for n in (3, 4):
        page.keyboard.press("ArrowRight")
        at, values = told(page)
        assert at == f"n: {n}"
        for name in SHOWN:
            assert float(values[name].split(" ")[0]) == pytest.approx(means[name, n], abs=0.051)


def test_calibration_says_frequency_and_count_of_single_points(page, frame):
    open_cell(page, "majority-n3")
    own = frame.filter(pl.col("task") == "majority", pl.col("n") == 3, pl.col("learner") == "model-a",
                       pl.col("probability").is_not_null())  # fmt: skip
    own = own.with_columns(bin=(pl.col("probability") * 10).cast(int).clip(0, 9))
    bins = own.group_by("bin").agg(pl.col("probability").mean(), pl.col("label").mean(), pl.len())
    expected = {f"{p:.3f}": (100 * label, count) for p, label, count in bins.drop("bin").iter_rows()}
    said = page.locator("#majority-n3-calibration svg.marks [data-says]").evaluate_all(
        "marks => marks.map(mark => mark.dataset.says).filter(label => label.startsWith('model-a\\n'))"
    )
    assert len(said) == len(expected)
    for label in said:
        _, place, value = label.split("\n")
        frequency, count = expected[f"{float(place.split(': ')[1]):.3f}"]
        assert float(value.split(" ")[0]) == pytest.approx(frequency, abs=0.051)
        assert f"of {count} labels" in value
    page.locator("#majority-n3-calibration .wide").focus()
    page.keyboard.press("ArrowRight")
    assert "predicted P(1)" in told(page)[0]


def test_a_legend_is_used_by_keyboard_and_holds_for_all_figures_and_the_overview(page):
    open_cell(page, "majority-n3")
    marks = "[...document.querySelectorAll('svg.marks [data-says^=\"model-a\"]')].every(m => m.matches('.off'))"
    assert not page.evaluate(marks)
    key = page.locator(".key[data-series=model-a]").first
    key.focus()
    page.keyboard.press("Enter")
    assert page.evaluate(marks)
    assert page.locator(".key[data-series=model-a]").first.get_attribute("aria-pressed") == "false"
    assert page.locator(".matrix th[data-series=model-a]").is_hidden()
    open_cell(page, "majority-n4")
    assert page.evaluate(marks)
    assert "hide=model-a" in page.url
    page.locator("nav a").first.click()
    assert "hide=model-a" in page.url
    assert "#overview" in page.url
    key.focus()
    page.keyboard.press("Enter")
    assert not page.evaluate(marks)


def rows_of(page):
    """What is written before the gaps, row by row."""
    rows = page.locator(".matrix tbody tr:visible")
    return rows.evaluate_all("rows => rows.map(r => [...r.cells].slice(0, 2).map(c => c.innerText))")


def test_rows_and_columns_of_the_overview_are_chosen_by_keyboard_and_kept_in_the_address(browser, run, page):
    every = rows_of(page)
    assert len(every) == 4
    select = page.locator(".overview select").first
    select.focus()
    page.keyboard.press("m")  # of conjunction and majority
    assert rows_of(page) == [row for row in every if row[0] == "majority"] != every
    assert page.inner_text(".overview [role=status]") == "2 of 4 rows"
    page.locator(".overview select").last.select_option("4")
    assert rows_of(page) == [["majority", "4"]]
    page.locator(".overview .key[data-series=model-a]").focus()
    page.keyboard.press("Enter")
    assert page.locator(".matrix th[data-series=model-a]").is_hidden()
    with visited(browser, run / "report.html", hash=page.url.partition("#")[2], viewport=WIDE) as other:
        assert rows_of(other) == [["majority", "4"]]
        assert other.locator(".matrix th[data-series=model-a]").is_hidden()
        other.locator(".overview select").first.select_option("")
        other.locator(".overview select").last.select_option("")
        assert rows_of(other) == every


def test_the_address_restores_the_view(browser, run, page):
    page.locator(".matrix a", has_text=re.compile("^conjunction$")).first.click()
    page.wait_for_selector("#conjunction-n3-learning-curves svg.marks")
    page.locator("#conjunction-n3 .key", has_text="averaging").first.click()
    page.evaluate("document.getElementById('problems').open = true")
    page.wait_for_selector(".panel.problems[data-drawn=all]")
    page.locator(".panel.problems select").nth(4).select_option("wrong")
    page.locator(".panel.problems [role=option]").nth(1).click()
    page.wait_for_selector(".detail h3")
    detail, count = page.inner_text(".detail"), page.locator(".panel.problems").get_attribute("data-count")
    with visited(browser, run / "report.html", hash=page.url.partition("#")[2], viewport=WIDE) as other:
        assert other.evaluate("document.getElementById('conjunction-n3').open")
        assert not other.evaluate("document.getElementById('majority-n3').open")
        assert other.locator("#conjunction-n3 .key", has_text="averaging").first.get_attribute("aria-pressed") == "true"
        other.wait_for_selector(".detail h3")
        assert other.inner_text(".detail") == detail
        assert other.locator(".panel.problems").get_attribute("data-count") == count


def filtered(frame, task="", n="", learner="", position="", kind="", other=""):
    """The same filter in polars."""
    keys = ["task", "n", "seed", "problem", "position"]
    usable = pl.col("prediction").is_not_null()
    some = frame
    for name, value in (("task", task), ("learner", learner)):
        some = some.filter(pl.col(name) == value) if value else some
    for name, value in (("n", n), ("position", position)):
        some = some.filter(pl.col(name) == int(value)) if value else some
    if kind in ("right", "wrong"):
        some = some.filter(usable & (pl.col("right") == (kind == "right")))
    if kind == "none":
        some = some.filter(~usable)
    if kind == "differ" and not other:
        several = frame.filter(usable).group_by(keys).agg(pl.col("prediction").n_unique()).filter(
            pl.col("prediction") > 1)  # fmt: skip
        some = some.join(several.select(keys), on=keys, how="semi")
    if kind == "differ" and other:
        counts = pl.col("status").is_in(list(ANSWERED))  # what is no answer is wrong, and differs from any answer
        theirs = frame.filter(pl.col("learner") == other, counts).select(*keys, theirs="prediction")
        some = some.join(theirs, on=keys).filter(counts, pl.col("prediction").ne_missing(pl.col("theirs")))
    return some


def problems_of(page):
    page.evaluate("document.getElementById('problems').open = true")
    page.wait_for_selector(".panel.problems[data-drawn=all]")
    return page.locator(".panel.problems")


def choose(page, **wanted):
    panel = page.locator(".panel.problems")
    for place, name in enumerate(("task", "n", "learner", "position", "kind", "other")):
        select = panel.locator("select").nth(place)
        if select.is_visible():
            select.select_option(wanted.get(name, ""))
    return int(panel.get_attribute("data-count"))


def test_every_filter_finds_what_the_same_filter_finds_in_polars(page, frame):
    problems_of(page)
    wanted = [{}]
    wanted += [{"task": "majority"}, {"n": "4"}, {"learner": "model-a"}, {"learner": HOSTILE}, {"position": "7"}]
    wanted += [{"kind": kind} for kind in ("right", "wrong", "none", "differ")]
    wanted += [{"learner": "model-a", "kind": "differ", "other": other} for other in ("bayes", HOSTILE)]
    wanted += [{"task": "conjunction", "n": "3", "learner": "model-a", "position": "9", "kind": "wrong"}]
    for some in wanted:
        assert choose(page, **some) == len(filtered(frame, **some)), some


def test_text_is_searched_in_prompts_and_replies(page, frame):
    problems_of(page)
    choose(page)
    panel, asked = page.locator(".panel.problems"), frame.filter(pl.col("learner").is_in(["model-a", HOSTILE]))
    for words, expected in [
        ("ZEBRA", len(asked)),
        ("model-a replies", len(frame.filter(pl.col("learner") == "model-a"))),
        ("Problem 3 of majority", len(asked.filter(pl.col("task") == "majority", pl.col("problem") == 3))),
        ("no such text", 0),
    ]:
        panel.locator("input[type=search]").fill(words)
        page.wait_for_function(f"document.querySelector('.panel.problems').dataset.count === '{expected}'")


def test_twenty_random_answers_are_shown_with_all_that_is_behind_them(page, run, frame):
    problems_of(page)
    exchanges = {
        (one["learner"], one["task"], one["n"], one["problem"]): one
        for one in map(json.loads, (run / "exchanges.jsonl").read_text().splitlines())
    }
    random.seed(1)
    for _ in range(20):
        row = frame.row(random.randrange(len(frame)), named=True)
        wanted = {key: str(row[key]) for key in ("task", "n", "learner", "position")}
        choose(page, **wanted)
        order = filtered(frame, **wanted)["problem"].to_list()
        page.locator("#row-" + str(order.index(row["problem"]))).click()
        title = f"{row['task']}, n = {row['n']}: problem {row['problem']}, position {row['position']}"
        page.locator(".detail h3", has_text=title).wait_for()
        text = page.inner_text(".detail")
        assert f"true label is {row['label']}" in text
        assert ("is unseen" in text) == (not row["seen"])
        query = frame.filter(*(pl.col(key) == row[key] for key in ("task", "n", "problem", "position")))
        cells = page.locator(".detail tbody tr").evaluate_all(
            "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
        )
        assert len(cells) == len(query)
        for one in query.iter_rows(named=True):
            said = next(answer for name, answer, _ in cells if name == one["learner"])
            first = one["status"] if one["prediction"] is None else str(one["prediction"])
            assert said.split(",")[0] == first
            if one["probability"] is not None:
                assert float(said.split("= ")[1]) == pytest.approx(one["probability"], abs=0.0006)
        pre = page.locator(".detail pre").all_inner_texts()
        with_prompt = exchanges.get((row["learner"], row["task"], row["n"], row["problem"]))
        lines = pre[0].splitlines()
        assert len(lines) == row["position"] + 1
        if with_prompt:
            assert pre[1:] == [with_prompt["text"], with_prompt["reply"]["text"]]
            shown = re.findall(r"Input: ([01 ]+)\nLabel: (\d)", with_prompt["text"])
            for k, line in enumerate(lines[:-1]):
                assert line.split() == [str(k), shown[k][0].replace(" ", ""), shown[k][1]]
        else:
            assert len(pre) == 1


def test_two_are_compared_with_the_interval_that_the_report_computed(page, frame):
    from llm_icl.analysis.cells import arrange
    from llm_icl.analysis.scores import difference

    page.evaluate("document.getElementById('compare').open = true")
    page.wait_for_selector(".panel.compare[data-drawn=all]")
    cells = arrange(frame.drop("right"))
    for first, second in (("model-a", "nearest-neighbour"), ("nearest-neighbour", "model-a"), ("model-a", HOSTILE)):
        for place, name in enumerate((first, second)):
            page.locator(".panel.compare select").nth(place).select_option(name)
        rows = page.locator(".panel.compare tbody tr").evaluate_all(
            "rows => rows.map(r => [...r.cells].map(c => c.innerText))"
        )
        assert [row[0] for row in rows] == [cell.title for cell in cells]
        for row, cell in zip(rows, cells, strict=True):
            expected = difference(cell, first, second)
            numbers = [float(one) for one in re.findall(r"[-+]?[\d.]+", row[1])]
            assert numbers == pytest.approx([100 * one for one in expected], abs=0.06)
    page.locator(".panel.compare button").first.click()
    page.wait_for_selector(".panel.problems[data-drawn=all]")
    expected = filtered(frame, task="majority", n="3", learner="model-a", kind="differ", other=HOSTILE)
    page.wait_for_function(f"document.querySelector('.panel.problems').dataset.count === '{len(expected)}'")


def test_nothing_from_a_name_or_a_reply_is_run(page):
    for anchor in CELLS:
        open_cell(page, anchor)
    problems_of(page)
    choose(page, learner=HOSTILE)
    page.locator("#row-0").click()
    page.wait_for_selector(".detail h3")
    assert HOSTILE in page.inner_text(".detail")
    assert page.title() != "taken"
    assert page.evaluate("document.images.length") == 0


def test_a_saved_figure_is_light_sized_named_and_has_its_legend(browser, run):
    with visited(browser, run / "report.html", viewport=WIDE, color_scheme="dark", accept_downloads=True) as page:
        open_cell(page, "majority-n3")
        with page.expect_download() as waiting:
            page.locator("#majority-n3-learning-curves .save", has_text="SVG").click()
        assert waiting.value.suggested_filename == "majority-n3-learning-curves.svg"
        root = ElementTree.parse(waiting.value.path()).getroot()
        assert int(root.get("width")) > 400
        assert int(root.get("height")) > 250
        assert (root[0].get("fill"), root[0].get("width")) == ("#ffffff", root.get("width"))
        texts = [element.text for element in root.iter() if element.tag.endswith("text")]
        assert set(texts) >= SHOWN
        assert "averaging" not in texts
        with page.expect_download() as waiting:
            page.locator("#majority-n3-learning-curves .save", has_text="PNG").click()
        assert waiting.value.suggested_filename == "majority-n3-learning-curves.png"
        assert Path(waiting.value.path()).read_bytes()[:4] == b"\x89PNG"


def test_a_print_has_all_parts_open_and_no_column_cut(page):
    page.wait_for_selector("body[data-ready=print]", timeout=60_000)
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 990})  # A4 at 96 dpi with margins
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("[...document.querySelectorAll('details')].every(part => part.open)")
    assert page.evaluate("document.querySelectorAll('script.packed').length") == 0
    hidden = page.evaluate(
        "[...document.querySelectorAll('main td, main th')].filter(c => !c.closest('.panel') && !c.offsetWidth).length"
    )
    assert hidden == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    assert len(page.pdf(format="A4")) > 50_000
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert not page.evaluate("document.getElementById('majority-n3').open")
    assert page.evaluate("document.getElementById('overview').open")


def test_without_scripts_verdicts_overview_and_tables_are_there(browser, run):
    with visited(browser, run / "report.html", scripts=False, viewport=WIDE) as page:
        text = page.inner_text("body")
        assert text.count("below") + text.count("Against the best possible") >= 2
        assert page.locator(".card").count() == 2
        assert page.locator(".matrix tbody tr").count() == 4
        assert page.locator("[data-file^=overview] svg.marks").count() == 2
        page.locator("#majority-n3 > summary").click()
        assert page.locator("#majority-n3 table").first.is_visible()


def test_columns_and_terms_are_shown_by_a_click(page):
    open_cell(page, "majority-n3")
    table = page.locator("#majority-n3 table").first
    assert table.locator("thead th:visible").count() == 5
    table.locator("button.more").click()
    assert table.locator("thead th:visible").count() > 8
    why = table.locator("button.why").first
    why.focus()
    page.keyboard.press("Enter")
    assert table.locator(".meaning:visible").count() == 1
    page.keyboard.press("Escape")
    assert table.locator(".meaning:visible").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_is_wider_than_the_page_and_no_number_hides_on_a_phone(browser, run, width, scheme):
    size = {"width": width, "height": 900}
    with visited(browser, run / "report.html", viewport=size, color_scheme=scheme) as page:
        open_cell(page, "majority-n3")
        problems_of(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        table = page.locator("#majority-n3 .wide:has(> table.less)").first
        for cell in table.locator("td:not(.extra):visible").all()[:12]:
            box, room = cell.bounding_box(), table.bounding_box()
            assert box["x"] >= room["x"]
            assert width > 390 or box["x"] + box["width"] <= room["x"] + room["width"] <= width
        red = int(re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[0])
        assert (red < 64) == (scheme == "dark")


def test_names_in_an_address_may_hold_anything(browser, run):
    with visited(browser, run / "report.html", hash=f"show=&hide={quote(HOSTILE, safe='')}", viewport=WIDE) as page:
        assert page.locator(".matrix thead th:visible").count() == 3
        assert page.locator(".matrix thead th:visible").last.inner_text() == "model-a"
