"""The report of an earlier revision beside today's, in one run: `make bench-report`.

    python -m tests.benchmarks.report_before CHECKOUT

CHECKOUT is a folder of that revision with an environment of its own. Both programs make a run of the same settings and
write its report; the same browser opens their pages by turns.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import polars as pl

from tests.benchmarks.report import DESKTOP, PHONE, SIZES, opened, processors
from tests.benchmarks.timing import show
from tests.reports import making
from tests.reports.browser import browser_of

ROOT = Path(__file__).parents[2]
ROUNDS = 3


class Program:
    """A revision of this project in a folder, with `.venv` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def python(self, *arguments: str | Path) -> float:
        """Seconds of processors that Python takes with some arguments."""
        before = processors()
        command = [self.folder / ".venv" / "bin" / "python", *arguments]
        subprocess.run(command, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)
        return processors() - before

    def make_run(self, run: Path, size: dict[str, Any]) -> None:
        """The same script makes the runs of both, whose formats differ."""
        script = Path(making.__file__).read_text(encoding="utf-8")
        if not (self.folder / "llm_icl" / "experiments" / "kinds.py").exists():  # its name was another
            script = script.replace("llm_icl.experiments.kinds", "llm_icl.experiments.base")
        path = run.with_suffix(".py")
        path.write_text(f"{script}\nsynthetic_run(Path({str(run)!r}), **{size!r})\n", encoding="utf-8")
        self.python(path)

    def report(self, run: Path, out: Path) -> float:
        """Seconds of processors of the command that writes a report."""
        return self.python("-c", "from llm_icl.cli.main import main; main()", "report", run, "--out", out)


def rows(browser: Any, programs: dict[str, Program], size: dict[str, Any], folder: Path) -> list[list[object]]:
    made = {}
    for name, program in programs.items():
        program.make_run(folder / name, size)
        made[name] = program.report(folder / name, folder / f"{name}-report")
    pages = {name: folder / f"{name}-report" / "report.html" for name in programs}
    times: dict[str, list[list[float]]] = {name: [] for name in programs}
    for _ in range(ROUNDS):
        for name, page in pages.items():
            times[name].append([seconds for view in (DESKTOP, PHONE) for seconds in opened(browser, page, view)[:2]])
    found = []
    for name, page in pages.items():
        frame = pl.read_parquet(folder / name / "predictions.parquet")
        counts = [len(frame), frame.select("task", "n").n_unique()]
        # Other work beside it makes each of them longer, never shorter.
        least = map(min, zip(*times[name], strict=True))
        found.append([*counts, name, made[name], page.stat().st_size / 1e6, *least])
    return found


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        sys.exit("this needs Chromium")
    programs = {"before": Program(Path(sys.argv[1]).resolve()), "today": Program(ROOT)}
    found = []
    with browser_of(chromium) as browser:
        for size in SIZES:
            with tempfile.TemporaryDirectory() as folder:
                found += rows(browser, programs, size, Path(folder))
    headers = ["predictions", "cells", "program", "make", "MB"]
    headers += [f"{one}, {where}" for where in ("1440 px", "phone") for one in ("usable", "longest freeze")]
    show(found, headers)


if __name__ == "__main__":
    main()
