"""The wheel carries what it needs: it works from an empty folder, without the checkout."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run_cli

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel, unpacked into a folder of its own; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("list tasks", "nearest-neighbour"),
        ("list prompts", "pac-step-by-step"),
        ("show task majority-llm", "relevant"),
        ("show prompt basic --n 3", "Label:"),
        ("eval --model none --task conjunction --n 3 --points 5 --problems 3", "report: outputs"),
    ],
)
def test_an_installed_wheel_works_from_an_empty_folder(installed, tmp_path, arguments, expected):
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = run_cli(*arguments.split(), cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
    where = [sys.executable, "-c", "import llm_icl; print(llm_icl.__file__)"]
    assert subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True).stdout.startswith(
        str(installed)
    )
