"""A page as a person opens it: a real browser, no network, nothing on the console."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


@contextmanager
def browser_of(chromium: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visited(browser: Any, path: Path, hash: str = "", scripts: bool = True, **context: Any) -> Iterator[Any]:
    """A page at an address. Raises AssertionError if it says anything on the console or asks anything of a network."""
    messages: list[str] = []
    requests: list[str] = []
    opened = browser.new_context(offline=True, java_script_enabled=scripts, **context)
    page = opened.new_page()
    page.on("console", lambda message: messages.append(message.text))
    page.on("pageerror", lambda error: messages.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri() + (f"#{hash}" if hash else ""))
    if scripts:
        page.wait_for_selector("body[data-drawn=all]", timeout=60_000)
    yield page
    opened.close()
    assert messages == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []


@contextmanager
def opened(chromium: str, path: Path, **context: Any) -> Iterator[Any]:
    """One page in a browser of its own."""
    with browser_of(chromium) as browser, visited(browser, path, **context) as page:
        yield page


def told(page: Any) -> tuple[str, dict[str, str]]:
    """The place and the values that the tooltip says."""
    tip = page.locator("#tip")
    tip.wait_for(timeout=5_000)
    rows = tip.locator("tr").evaluate_all("rows => rows.map(row => [...row.cells].map(cell => cell.innerText))")
    return tip.locator("caption").inner_text(), dict(rows)
