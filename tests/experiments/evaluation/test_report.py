"""The report as a person opens it: a real browser, no network."""

import json
import re

import polars as pl
import pytest

from tests.conftest import TinyModels, run_cli
from tests.inside import run_inside
from tests.reports.reading import table_of

CELLS = [f"{task}-n{n}" for task in ("majority", "conjunction") for n in (3, 4)]
FIGURES = {f"{cell}-{name}" for cell in CELLS for name in ("learning-curves", "agreement", "calibration")}
FIGURES |= {"majority-n3-by-n", "conjunction-n3-by-n"}
HOSTILE = '<script>document.title = "taken"</script><img src=x onerror="document.title=\'taken\'">'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of a tiny model, whose prompt and exchanges carry text that a page must not run."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "prompts").mkdir()
    body = "{% for e in examples %}\nInput: {{ e.input }}\nLabel: {{ e.label }}{% endfor %}\nInput: {{ query }}\nLabel:"
    (folder / "prompts" / "hostile.jinja").write_text(HOSTILE + body)
    model = TinyModels(folder).gpt2(text=[HOSTILE, "Input: 0 1 Label: 1"])
    done = run_cli(
        *"eval --task majority,conjunction --n 3,4 --points 10 --problems 6 --prompt hostile --out run".split(),
        *("--model", f"hf/{model}"),
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


def open_page(chromium, page_path, check, **context):
    from playwright.sync_api import sync_playwright

    messages, requests = [], []
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_context(offline=True, **context).new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(page_path.as_uri())
        page.wait_for_selector("body[data-drawn=all]", timeout=60_000)
        check(page)
        browser.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 900)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn_at_every_width_and_in_both_schemes(chromium, run, width, height, scheme):
    def check(page):
        drawn = page.evaluate(
            "[...document.querySelectorAll('.figure')].map(f => [f.id, f.querySelectorAll('svg path').length])"
        )
        assert {name for name, _ in drawn} == FIGURES
        assert all(paths > 5 for _, paths in drawn)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.title().startswith("majority and conjunction")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        red = int(re.findall(r"\d+", background)[0])
        assert (red < 64) == (scheme == "dark")

    open_page(chromium, run / "report.html", check, viewport={"width": width, "height": height}, color_scheme=scheme)


@pytest.mark.browser
def test_a_click_in_the_legend_picks_a_learner_out(chromium, run):
    def check(page):
        faint = "document.querySelectorAll('#majority-n3-learning-curves path[opacity=\"0.08\"]').length"
        assert page.evaluate(faint) == 0
        page.locator("#majority-n3-learning-curves .role-legend-label text", has_text="averaging").first.click()
        page.wait_for_timeout(300)
        assert page.evaluate(faint) > 0

    open_page(chromium, run / "report.html", check, viewport={"width": 1280, "height": 900})


@pytest.mark.browser
def test_text_from_models_and_prompts_is_shown_and_never_run(chromium, run):
    assert HOSTILE in (run / "exchanges.jsonl").read_text().replace("\\", "")

    def check(page):
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert HOSTILE in page.inner_text("#samples")
        assert page.title() != "taken"
        assert page.evaluate("document.images.length") == 0

    open_page(chromium, run / "report.html", check)


@pytest.mark.browser
def test_the_tooltip_of_a_learning_curve_has_every_learners_name_and_number_at_that_place(chromium, run):
    frame = pl.read_parquet(run / "predictions.parquet").filter((pl.col("task") == "majority") & (pl.col("n") == 3))
    right = frame.with_columns(right=(pl.col("prediction") == pl.col("label")).fill_null(False))
    shares = right.group_by("learner", "position").agg(pl.col("right").mean())
    expected = {(learner, position): 100 * share for learner, position, share in shares.iter_rows()}
    seen = set()

    def check(page):
        figure = page.locator("#majority-n3-learning-curves")
        figure.scroll_into_view_if_needed()
        box = figure.locator("path.background").first.bounding_box()
        for i in range(50):
            page.mouse.move(box["x"] + 8 + (box["width"] - 16) * i / 49, box["y"] + 20 + (i * 37) % 240)
            tooltip = page.locator("#vg-tooltip-element.visible")
            tooltip.wait_for(timeout=5_000)
            rows = "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
            (_, position), *told = tooltip.locator("tr").evaluate_all(rows)
            seen.add(int(position))
            assert {name for name, _ in told} == set(frame["learner"])
            for name, value in told:
                share, low, high = map(float, re.findall(r"[\d.]+", value))
                assert share == pytest.approx(expected[name, int(position)], abs=0.051)
                assert low <= share <= high

    open_page(chromium, run / "report.html", check, viewport={"width": 1280, "height": 900})
    assert len(seen) == 10


@pytest.mark.browser
def test_a_figure_is_saved_under_its_name_and_read_out_in_words(chromium, run):
    def check(page):
        names = page.evaluate("[...document.querySelectorAll('.figure')].map(f => "
                              "[f.id, f.querySelector('.vega-actions a').download])")  # fmt: skip
        drawings = page.evaluate("[...document.querySelectorAll('.figure svg.marks')].map(d => "
                                 "[d.getAttribute('role'), d.getAttribute('aria-label')])")  # fmt: skip
        assert {figure for figure, _ in names} == FIGURES
        assert all(download.startswith(figure) for figure, download in names)
        assert len(drawings) == len(FIGURES)
        assert all(role == "img" and len(words) > 20 for role, words in drawings)

    open_page(chromium, run / "report.html", check)


def test_the_numbers_of_the_report_are_those_of_the_predictions(run):
    frame = pl.read_parquet(run / "predictions.parquet")
    right = frame.with_columns(right=(pl.col("prediction") == pl.col("label")).fill_null(False))
    rows = table_of(run_inside("report", run, "--json").stdout, "scores")
    assert len(rows) == right.select("task", "n", "learner").n_unique()
    for row in rows:
        own = right.filter(*(pl.col(key) == row[key] for key in ("task", "n", "learner")))
        assert row["average"]["value"] == pytest.approx(own["right"].mean())
        last = own.filter(pl.col("position") == pl.col("position").max())
        assert row["last"]["value"] == pytest.approx(last["right"].mean())
        assert row["problems"] == own["problem"].n_unique()


def test_both_reports_say_the_same_numbers(run):
    html, markdown = (run / "report.html").read_text(), (run / "report.md").read_text()
    cells = re.findall(r"<td>([\d.]+ \[[\d., ]+\])</td>", html)
    assert len(cells) > 50
    assert all(cell in markdown for cell in cells)
    record = json.loads((run / "run.json").read_text())
    assert record["command"] in markdown


def test_every_control_stands_in_the_report(run):
    markdown = (run / "report.md").read_text()
    for name in ("best-constant", "nearest-neighbour", "bayes", "bayes-labels", "(shuffled labels)"):
        assert f"| {name}" in markdown or f"{name} " in markdown
    assert "constant functions are allowed" in markdown
