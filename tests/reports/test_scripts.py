"""The page's own scripts and style: read by Node, and free of what a page without a network cannot use."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from llm_icl.reports import html

FOLDER = Path(html.__file__).parent / "page"
SCRIPTS = sorted(FOLDER.glob("*.js"))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_every_script_is_valid(path):
    node = shutil.which("node")
    if not node:
        pytest.skip("no Node on this machine")
    done = subprocess.run([node, "--check", str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_script_is_in_the_page():
    assert {path.stem for path in SCRIPTS} == set(html._SCRIPTS)


def test_nothing_is_asked_of_a_network():
    for path in (*SCRIPTS, *FOLDER.glob("*.css"), *FOLDER.glob("*.jinja")):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|sendBeacon|WebSocket", text), path.name


def test_markup_is_only_made_of_the_drawings_of_the_report():
    ways = re.compile(r"innerHTML|insertAdjacentHTML|document\.write|eval\(|Function\(")
    assert [path.name for path in SCRIPTS if ways.search(path.read_text(encoding="utf-8"))] == ["figures.js"]
