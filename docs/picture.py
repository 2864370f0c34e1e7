"""The picture of a report in the README: `python docs/picture.py` runs a small evaluation and photographs its page.

It asks the embedded default model, which is downloaded on first use, and needs Chromium. A few minutes on two cores.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "docs" / "report.png"
COMMAND = "eval --task conjunction --n 5 --points 30 --problems 24 --out"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WIDTH, HEIGHT = 1100, 1180
MAX_BYTES = 300_000


def evaluate(folder: Path) -> None:
    """Run this checkout's command into a folder."""
    paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    program = [sys.executable, "-c", "from llm_icl.cli.main import main; main()"]
    subprocess.run([*program, *shlex.split(COMMAND), str(folder)], env=os.environ | {"PYTHONPATH": paths}, check=True)


def photograph(page: Path, target: Path) -> None:
    """The first screen of a page, once its figures are drawn."""
    from playwright.sync_api import sync_playwright

    browser_path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser_path is None:
        sys.exit(f"the picture needs a browser: one of {', '.join(BROWSERS)}")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        view.goto(page.as_uri())
        view.wait_for_selector("body[data-drawn=all]")
        view.screenshot(path=str(target))
        browser.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        evaluate(run)
        photograph(run / "report.html", TARGET)
    if TARGET.stat().st_size > MAX_BYTES:
        sys.exit(f"{TARGET.name} has {TARGET.stat().st_size:,} bytes, more than {MAX_BYTES:,}")
    print(TARGET.relative_to(ROOT))


if __name__ == "__main__":
    main()
