"""Reports of three sizes: seconds of processors to make one, its MB, and in Chromium seconds until it is usable, of its
longest freeze and of the slowest filter; on a desktop and on a phone, whose processor is four times slower. No model is
asked.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from llm_icl.experiments.reporting import report_of
from llm_icl.reports import vega
from llm_icl.reports.files import write_report
from llm_icl.runs import RunDirectory
from tests.benchmarks.timing import show
from tests.reports.browser import browser_of
from tests.reports.making import synthetic_run

TASKS = ["majority", "conjunction", "parity", "disjunction", "nearest-neighbour"]
TWO = ("model-a", "model-b")
SIZES: list[dict[str, Any]] = [
    {"task": TASKS[:1], "n": [5], "points": 30, "problems": 43},
    {"task": TASKS[:3], "n": [3, 4, 5, 6], "points": 41, "problems": 23, "models": TWO},
    {"task": TASKS, "n": [3, 4, 5, 6, 7, 8, 9], "points": 40, "problems": 41, "models": TWO},
]
OPENINGS = 5
DESKTOP, PHONE = ({"width": 1440, "height": 900}, 1), ({"width": 390, "height": 844}, 4)
# Notes when the page says that it is drawn, and how long it did not answer.
WATCH = """
window.longest = 0;
new PerformanceObserver((list) => {
  for (const task of list.getEntries()) window.longest = Math.max(window.longest, task.duration);
}).observe({ type: "longtask", buffered: true });
new MutationObserver(() => {
  if (document.body?.dataset.drawn === "all") window.usable ??= performance.now();
}).observe(document, { attributes: true, subtree: true, childList: true });
"""
# The slowest of some choices of a filter, in ms, each until the list shows what it found.
FILTER = """async () => {
  document.getElementById("problems").open = true;
  const panel = document.querySelector(".panel.problems");
  const until = async (done) => { while (!done()) await new Promise((go) => setTimeout(go, 1)); };
  await until(() => panel.dataset.drawn === "all");
  const selects = [...panel.querySelectorAll("select")];
  let slowest = 0;
  for (const [place, value] of [[2, ""], [4, "wrong"], [4, "differ"], [0, "majority"], [4, ""]]) {
    const before = panel.dataset.turn, start = performance.now();
    selects[place].value = value;
    selects[place].dispatchEvent(new Event("change"));
    await until(() => panel.dataset.turn !== before);
    slowest = Math.max(slowest, performance.now() - start);
  }
  return slowest;
}"""


def opened(browser: Any, page_path: Path, view: tuple[dict[str, int], int]) -> tuple[float, float, float]:
    """Seconds until a page is usable, of its longest freeze until then, and of the slowest filter (0 without them)."""
    size, slower = view
    context = browser.new_context(viewport=size, offline=True)
    page = context.new_page()
    context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
    page.add_init_script(WATCH)
    page.goto(page_path.as_uri(), timeout=180_000)
    page.wait_for_function("window.usable", timeout=120_000)
    usable, longest = page.evaluate("[window.usable, window.longest]")
    has_filters = page.locator(".panel.problems").count() > 0
    filters = page.evaluate(FILTER) if has_filters else 0.0
    context.close()
    return usable / 1000, longest / 1000, filters / 1000


def processors() -> float:
    """Seconds of processors, in this process and in those that it started and that have ended."""
    return sum(os.times()[:4])


def end_drawing() -> None:
    """What draws figures is another process, whose time counts when it has ended."""
    process = vega._process(os.getpid())
    process.kill()
    process.wait()
    vega._process.cache_clear()


def run() -> None:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        sys.exit("this needs Chromium")
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name, browser_of(found) as browser:
        for number, size in enumerate(SIZES):
            folder = synthetic_run(Path(name) / str(number), **size)
            frame = pl.read_parquet(folder / "predictions.parquet")
            made = -processors()
            vega.start()  # as the command does
            page = write_report(report_of([RunDirectory(folder)]), folder)
            end_drawing()
            made += processors()
            # Other work beside it makes each of them longer, never shorter.
            desktop, phone = (
                map(min, zip(*(opened(browser, page, view) for _ in range(OPENINGS)), strict=True))
                for view in (DESKTOP, PHONE)
            )
            cells = frame.select("task", "n").n_unique()
            megabytes = page.stat().st_size / 1e6
            rows.append([len(frame), cells, made, megabytes, *desktop, *phone])
    measured = ["usable", "longest freeze", "slowest filter"]
    headers = ["predictions", "cells", "make", "MB", *(f"{one}, 1440 px" for one in measured)]
    show(rows, [*headers, *(f"{one}, phone" for one in measured)])
