"""The wheel carries what it needs: it works from an empty folder, without the checkout."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import run_cli

ROOT = Path(__file__).parent.parent


def _python(name: str) -> str:
    """An interpreter that runs: on the path, or beside ours, where version managers put them; "" if there is none."""
    beside = sorted(Path(sys.base_prefix).parent.glob(f"*/bin/{name}"))
    for found in filter(None, (shutil.which(name), *map(str, beside))):
        if subprocess.run([found, "-c", ""], capture_output=True, check=False).returncode == 0:
            return found
    return ""


# Of the Pythons from 3.11 on, those that are on this machine beside the one that runs the tests.
OTHERS = [
    found for minor in range(11, 20) if minor != sys.version_info.minor and (found := _python(f"python3.{minor}"))
]


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


def test_one_wheel_serves_every_python(installed):
    """Its name and its metadata say so, and each Python that is here can read all of it."""
    (wheel,) = installed.parent.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    (metadata,) = installed.glob("llm_icl-*.dist-info/METADATA")
    assert "Requires-Python: >=3.11" in metadata.read_text().splitlines()
    for python in OTHERS:
        compiled = [python, "-W", "error", "-m", "compileall", "-q", "-f", str(installed)]
        done = subprocess.run(compiled, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{python}: {done.stdout}"
