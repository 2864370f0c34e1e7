"""Known machines and outsiders with few answers: is anything named that they cannot show (`make few-answers`)?

    python -m tests.simulations.few_answers REPETITIONS

Every repetition has the machines of `tests/simulations/identification.py`, on fewer problems, with fewer queries behind
fewer numbers of examples. An outsider that is called one algorithm may give that one's answers here, up to what so many
problems could show with 80 % power; only others are false. Finished subjects are kept in outputs/few-answers.jsonl
(delete it to begin again), and the same command resumes.
"""

import json
import sys
from pathlib import Path

import numpy as np
from tabulate import tabulate

from llm_icl.analysis.identification.mixtures import OVER
from tests.simulations.identification import TASKS, Setting, Subject, World, outcome, rows

KEPT = Path(__file__).parents[2] / "outputs" / "few-answers.jsonl"
SETTINGS = (
    Setting(4, 10, (3,), 2),
    Setting(4, 20, (5,), 3),
    Setting(5, 25, (10,), 4),
    Setting(5, 16, (5, 10), 8),
    Setting(5, 64, (10,), 8),
)


def run(repetitions: int, kept: Path = KEPT) -> None:
    kept.parent.mkdir(exist_ok=True)
    done = {(row["setting"], row["task"], row["repetition"]) for row in rows(kept)}
    for repetition in range(repetitions):
        for number, setting in enumerate(SETTINGS):
            for task in TASKS:
                if (number, task, repetition) in done:
                    continue
                world = World(task, repetition, setting)
                place = {"setting": number, "task": task, "repetition": repetition}
                lines = [json.dumps(place | seen(world, subject)) for subject in world.subjects(twice=False)]
                with kept.open("a", encoding="utf-8") as stream:  # a world whole, or not at all
                    stream.write("\n".join(lines) + "\n")
                print(f"{setting}, {task}, repetition {repetition}", file=sys.stderr)


def seen(world: World, subject: Subject) -> dict[str, object]:
    """The outcome, and whether these problems do not tell an outsider from the algorithm that it is called."""
    row = outcome(world, subject)
    names = row["names"]
    assert isinstance(names, tuple)
    alike = subject.verdict == "outsider" and row["verdict"] == "single" and world.inseparable(subject, names)
    return row | {"alike": bool(alike)}


def table(found: list[dict]) -> str:
    lines = []
    for number, setting in enumerate(SETTINGS):
        for asked in ("labels", "probabilities"):
            here = [row for row in found if (row["setting"], row["asked"]) == (number, asked)]
            known = [row for row in here if row["expected"] == "single"]
            mixed = [row for row in here if row["expected"] in OVER]
            others = [row for row in here if row["expected"] == "outsider"]
            if not here:
                continue
            false = [row["verdict"] == "single" and not row["alike"] for row in others]
            lines.append(
                [
                    f"{setting.problems} × {setting.queries}, {' and '.join(map(str, setting.sizes))}",
                    setting.problems * setting.queries * len(setting.sizes), asked, len(known), *named(known),
                    len(mixed), *named(mixed), len(others), percent(false), percent([row["alike"] for row in others]),
                ]
            )  # fmt: skip
    headers = [
        "problems × queries, examples", "answers", "of", "known", "rightly named %", "wrongly %", "mixtures",
        "rightly named %", "wrongly %", "outsiders", "called one algorithm %", "which answers alike %",
    ]  # fmt: skip
    return tabulate(lines, headers, tablefmt="github")


def named(some: list[dict]) -> tuple[str, str]:
    """The shares that are named rightly, and wrongly."""
    says = [row["verdict"] in ("single", "changes", *OVER) for row in some]
    right = [row["right"] for row in some]
    return (
        percent([named and is_right for named, is_right in zip(says, right, strict=True)]),
        percent([named and not is_right for named, is_right in zip(says, right, strict=True)]),
    )


def percent(hits: list[bool]) -> str:
    return f"{100 * np.mean(hits):.1f}" if hits else ""


if __name__ == "__main__":
    run(int(sys.argv[1]))
    print(table(rows(KEPT)))
