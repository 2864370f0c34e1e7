"""The report as a person opens it: a real browser, no network."""

import json
import re

import pytest

from tests.conftest import TinyModels, run_cli

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
        assert {name.rsplit("-", 1)[0] for name, _ in drawn} == {"curves", "agreement", "calibration", "by-n"}
        assert len(drawn) == 4 * 3 + 2
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
        faint = "document.querySelectorAll('#curves-0 path[opacity=\"0.08\"]').length"
        assert page.evaluate(faint) == 0
        page.locator("#curves-0 .role-legend-label text", has_text="averaging").first.click()
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
    assert "constant functions are kept" in markdown
