"""Whether the numbers of `llm-icl plan` come true: so many problems find the planned difference as often as asked.

    python -m tests.simulations.plan [STUDIES]

In each setting two learners differ by a known amount. A plan is made as a user makes it, from classical learners or
from a pilot run, which is a new one for each study; the study has the number of problems that the plan names, drawn
afresh, and is judged as a report judges it. Finished studies are kept in outputs/plan.jsonl, with a checksum of what
computes them: what was interrupted is resumed. Writes the table of docs/design/comparisons.md.
"""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

import llm_icl
from llm_icl.analysis.comparisons import Comparison
from llm_icl.analysis.intervals import LEVEL
from llm_icl.config.specs import parse_specs
from llm_icl.experiments.evaluation.planning import Pilot, PlanOptions, plan
from llm_icl.learners.base import learner_of
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

ROOT = Path(__file__).parents[2]
KEPT, PAGE = ROOT / "outputs" / "plan.jsonl", ROOT / "docs" / "design" / "comparisons.md"
BEGIN, END = "<!-- made by tests/simulations/plan.py -->", "<!-- end -->"
ANALYSIS = [ROOT / "llm_icl" / "analysis" / name for name in ("comparisons.py", "intervals.py", "studentised.py")]
COMPUTES = [Path(__file__), ROOT / "llm_icl" / "experiments" / "evaluation" / "planning.py", *ANALYSIS]
STUDIES = 400
# So many problems, in so many parts, say by how much the learners differ.
MANY, PARTS = 10_000, 20
POWER = 0.8
HEADER = """| setting | positions | comparisons | difference (points) | problems planned | finds it |
| --- | --- | --- | --- | --- | --- |"""


@dataclass(frozen=True)
class Setting:
    """A pair of learners on problems of a task. They stand in for models, or were run on `pilot` problems."""

    task: str
    n: int
    points: int
    pair: tuple[str, str]
    positions: int
    comparisons: int
    pilot: int = 0

    @property
    def name(self) -> str:
        about = f"{self.task}, n = {self.n}: {' and '.join(self.pair)}"
        return f"{about}, from {f'a pilot run on {self.pilot} problems' if self.pilot else 'classical learners'}"

    def compared(self, problems: int, seed: int) -> Comparison:
        """The pair on these problems."""
        drawn = draw_problems(load_task(parse_specs([self.task])[0]), self.n, self.points, problems, seed)
        answers = (learner_of(parse_specs([name])[0]).answer(drawn) for name in self.pair)
        first, second = ((each.prediction == drawn.ys).astype(float) for each in answers)
        all_of_them = np.ones(problems, dtype=bool)
        pilot = Pilot(drawn.task, self.n, tuple(range(self.points)), {"": (first, second, all_of_them)}, {})
        return pilot.comparison("", self.positions)

    @cached_property
    def difference(self) -> float:
        parts = [self.compared(MANY, 10**9 + part) for part in range(PARTS)]
        return float(sum(part.sums.sum() for part in parts) / sum(part.counts.sum() for part in parts))

    @cached_property
    def _from_learners(self) -> int:
        return self._named({"task": self.task, "n": self.n, "points": self.points})

    def planned(self, study: int) -> int:
        """The number of problems that the plan of a study names."""
        if not self.pilot:
            return self._from_learners
        with tempfile.TemporaryDirectory() as folder:
            size = {"n": self.n, "points": self.points, "problems": self.pilot, "seed": 10**6 + study}
            llm_icl.evaluate(out=f"{folder}/pilot", model="none", task=self.task, learner=",".join(self.pair), **size)
            return self._named({"pilot": f"{folder}/pilot"})

    def _named(self, given: Mapping[str, Any]) -> int:
        size = {"difference": 100 * abs(self.difference), "power": POWER, "comparisons": self.comparisons}
        (section,) = plan(PlanOptions.of({**given, **size})).sections
        named = {frozenset(str(row["compared"]).split(" and ")): row for row in section.blocks[0].rows
                 if row["positions"] == self.positions}  # fmt: skip
        return int(named[frozenset(self.pair)]["problems"])

    def found(self, study: int) -> tuple[int, bool]:
        """The number of problems of a study, and whether it finds the difference, with its sign."""
        problems = self.planned(study)
        shown = self.compared(problems, 1 + study).estimate(1 - (1 - LEVEL) / self.comparisons)
        return problems, bool(shown.low > 0 if self.difference > 0 else shown.high < 0)


SETTINGS = (
    Setting("conjunction", 7, 30, ("averaging", "nearest-neighbour"), 1, 3),
    Setting("threshold", 8, 30, ("averaging", "nearest-neighbour"), 5, 1),
    Setting("majority", 9, 40, ("perceptron", "nearest-neighbour"), 40, 1, pilot=60),
    Setting("dnf", 6, 30, ("nearest-neighbour", "winnow"), 10, 4, pilot=100),
)


def main(studies: int) -> None:
    KEPT.parent.mkdir(exist_ok=True)
    by = crc32(b"".join(path.read_bytes() for path in COMPUTES))
    lines = KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else []
    kept = [row for row in map(json.loads, lines) if row["by"] == by]
    done = {(row["setting"], row["study"]): row for row in kept}
    for setting in SETTINGS:
        for study in range(studies):
            if (setting.name, study) not in done:
                problems, found = setting.found(study)
                row = {"by": by, "setting": setting.name, "study": study, "problems": problems, "found": found}
                done[setting.name, study] = row
                with KEPT.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row) + "\n")
        print(_row(setting, [done[setting.name, study] for study in range(studies)]), flush=True)
    table = [_row(setting, [done[setting.name, study] for study in range(studies)]) for setting in SETTINGS]
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    text = "\n".join([f"{studies} studies each:", "", HEADER, *table])
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _row(setting: Setting, rows: list[dict[str, Any]]) -> str:
    problems = [row["problems"] for row in rows]
    planned = f"{np.median(problems):.0f}"
    if min(problems) < max(problems):
        planned += f" ({min(problems)} to {max(problems)})"
    share = np.mean([row["found"] for row in rows])
    difference = 100 * abs(setting.difference)
    about = f"{setting.name} | {setting.positions} | {setting.comparisons} | {difference:.1f}"
    return f"| {about} | {planned} | {100 * share:.1f} % |"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STUDIES)
