"""axe-core finds nothing that hinders readers in any kind of report: `make axe`, which installs it."""

import os
from pathlib import Path

import pytest

from llm_icl.experiments.finetuning.joint_report import joint_report
from llm_icl.experiments.reporting import report_of
from llm_icl.reports.files import write_report
from llm_icl.reports.joined import joined
from llm_icl.runs import RunDirectory
from tests.experiments.finetuning.test_joint_report import RUNS as COMPARISONS
from tests.experiments.language_modelling.making import COMMAND as TRAIN_LM
from tests.experiments.language_modelling.making import write_texts
from tests.inside import run_inside
from tests.reports.browser import visited
from tests.reports.making import synthetic_run

AXE = Path(os.environ.get("LLM_ICL_AXE", Path(__file__).parents[1] / "node_modules" / "axe-core" / "axe.min.js"))
SIZE = "--task conjunction --n 4"
COMMANDS = {
    "identify": f"identify --learner averaging,nearest-neighbour {SIZE} --examples 5 --contexts 12 --queries 2",
    "train": f"train {SIZE} --points 8 --layers 1 --width 16 --steps 8 --evaluate-every 4",
    "probe": f"probe --model train {SIZE} --points 8 --problems 2 --copies 2",
    "train-lm": TRAIN_LM.removeprefix("llm-icl "),
}
KINDS = ("eval", *COMMANDS, "finetune-vs-icl", "joined")
OPEN_ALL = """async () => {
  document.querySelectorAll("details").forEach((part) => { part.open = true; });
  const panels = [...document.querySelectorAll(".panel")];
  while (panels.some((panel) => panel.dataset.drawn !== "all")) await new Promise((go) => setTimeout(go, 20));
  document.querySelectorAll(".list [role=option]:first-child").forEach((row) => row.click());
}"""

pytestmark = [pytest.mark.browser, pytest.mark.skipif(not AXE.is_file(), reason="make axe installs axe-core")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A small report of each kind, and one of all of them."""
    folder = tmp_path_factory.mktemp("accessible")
    write_texts(folder)
    for name, words in COMMANDS.items():
        done = run_inside(*words.split(), "--out", name, cwd=folder)
        assert done.returncode == 0, done.stderr
    two = ("model-a", "a-model-of-which-the-name-is-long-7b-instruct")
    size = {"task": ["majority", "conjunction"], "n": [3, 4], "points": 6, "problems": 8, "seed": [0, 1]}
    synthetic_run(folder / "eval", models=two, prompts=("basic", "definition"), **size)
    reports = {name: report_of([RunDirectory(folder / name)]) for name in ("eval", *COMMANDS)}
    reports["finetune-vs-icl"] = joint_report(COMPARISONS)
    reports["joined"] = joined(list(reports.values()))
    for name, report in reports.items():
        write_report(report, folder / "pages" / name)
    return folder / "pages"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 768, 1440])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_hinders_readers(browser, pages, kind, width, scheme):
    size = {"width": width, "height": 900}
    with visited(browser, pages / kind / "report.html", viewport=size, color_scheme=scheme) as page:
        page.evaluate(OPEN_ALL)
        page.evaluate(AXE.read_text(encoding="utf-8"))
        found = page.evaluate("axe.run()")["violations"]
        bad = [(one["id"], [node["html"][:150] for node in one["nodes"][:3]]) for one in found
               if one["impact"] in ("critical", "serious", "moderate")]  # fmt: skip
        assert bad == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
