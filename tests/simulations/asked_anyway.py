"""Models that follow no algorithm, and known machines, in the reports of evaluations (`make asked-anyway`).

    python -m tests.simulations.asked_anyway [MODELS [SETTING …]]

What reports say of the queries that were asked anyway, through their own function, is never an algorithm of a model
that follows none: a coin, fair or not, with a bias of its own for each problem, with one that drifts with the number of
examples; constants, with and without noise; probabilities at random. So many models of each kind (200 by default)
answer the problems of each setting; 20 answer the same ones. Known machines are candidates with 10 % of flips.
Finished models are kept in outputs/asked-anyway.jsonl (delete it to begin again), and the same command resumes.
"""

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from llm_icl.config.specs import Spec, parse_specs
from llm_icl.experiments.candidates import DEFAULT, probability_of
from llm_icl.experiments.likelihood import Likelihood
from llm_icl.learners.base import learner_of
from llm_icl.problems import Problems
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

Floats = NDArray[np.float64]

KEPT = Path(__file__).parents[2] / "outputs" / "asked-anyway.jsonl"
# The demonstration (`make demo`), and larger evaluations: task, n, points, problems.
SETTINGS = {
    "demo": ("majority-llm", 3, 40, 24),
    "conjunction": ("conjunction", 5, 50, 100),
    "parity": ("sparse-parity", 7, 40, 64),
}
# So many models of a kind answer the same problems.
TOGETHER = 20
NAMING = ("single", "changes", "queries", "contexts", "problems")
# Of these the report may name one; elimination and Bayes are what the classes are made for.
KNOWN = tuple(name for name in DEFAULT if name.startswith(("nearest", "majority", "last", "averaging", "bayes")))


class World:
    """The problems of a setting, and what reports say of answers to them."""

    def __init__(self, setting: str, number: int) -> None:
        task, n, points, problems = SETTINGS[setting]
        self.problems: Problems = draw_problems(load_task(Spec(task)), n, points, problems, number)
        self.likelihood = Likelihood([self.problems], range(points), {})
        self.random = np.random.default_rng([number, len(setting)])

    def models(self) -> Iterator[tuple[str, Floats, bool]]:
        """Kinds of models that follow nothing: answers (N, m), and whether they are probabilities."""
        shape = self.problems.ys.shape
        random = self.random

        def flips(p: Floats | float) -> Floats:
            return (random.random(shape) < p).astype(np.float64)

        examples = np.linspace(0, 1, shape[1])
        yield "fair coin", flips(0.5), False
        yield "coin, 0.7", flips(0.7), False
        yield "coin, its own bias for each problem", flips(random.random((shape[0], 1))), False
        yield "coin, 0.2 to 0.8 over a curve", flips(0.2 + 0.6 * examples), False
        yield "always 1", np.ones(shape), False
        yield "always 0, 2 % lapses", flips(0.02), False
        yield "P = 0.5, shy", 0.5 + 0.02 * random.standard_normal(shape), True
        yield "P = 0.8, slanted", np.clip(0.8 + 0.1 * random.standard_normal(shape), 0.01, 0.99), True
        yield "P uniform", random.random(shape), True

    def machines(self) -> Iterator[tuple[str, Floats]]:
        """Known machines with 10 % of flips: their names, and labels (N, m)."""
        for name in KNOWN:
            learner = learner_of(parse_specs([name])[0])
            if not learner.refusal(self.problems.task, self.problems.n):
                labels = probability_of(learner.answer(self.problems)) > 0.5
                yield name, np.where(self.random.random(labels.shape) < 0.1, ~labels, labels).astype(np.float64)

    def outcome(self, kind: str, answers: Floats, probabilities: bool, truth: str = "") -> dict[str, object]:
        found = self.likelihood.verdict(answers, probabilities)
        return {"kind": kind, "truth": truth, "verdict": found["verdict"], "names": found["names"]}


def names_an_algorithm(row: dict) -> bool:
    return row["verdict"] in NAMING or (row["verdict"] == "too few" and bool(row["names"]))


def run(models: int, settings: tuple[str, ...], kept: Path = KEPT) -> None:
    kept.parent.mkdir(exist_ok=True)
    done = {(row["setting"], row["world"]) for row in rows(kept)}
    for number in range(-(-models // TOGETHER)):
        for setting in settings:
            if (setting, number) in done:
                continue
            world = World(setting, number)
            found = [world.outcome(*each) for _ in range(TOGETHER) for each in world.models()]
            found += [world.outcome("known machine", labels, False, name) for name, labels in world.machines()]
            lines = [json.dumps({"setting": setting, "world": number, **each}) for each in found]
            with kept.open("a", encoding="utf-8") as stream:
                stream.write("\n".join(lines) + "\n")
            print(f"{setting}, {number}: {sum(map(names_an_algorithm, found))} named", file=sys.stderr)


def rows(kept: Path = KEPT) -> list[dict]:
    if not kept.exists():
        return []
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def table(found: list[dict]) -> str:
    """How often an algorithm is named; of known machines, how often another one alone."""
    cells = defaultdict(list)
    for row in found:
        cells[row["setting"], row["kind"]].append(row)
    lines = []
    for (setting, kind), inside in cells.items():
        named = [row for row in inside if names_an_algorithm(row)]
        wrong = [row for row in named if row["truth"] not in row["names"]]
        verdicts = ", ".join(f"{verdict} {n}" for verdict, n in Counter(r["verdict"] for r in inside).most_common())
        lines.append(
            [setting, kind, len(inside), *(f"{100 * len(some) / len(inside):.1f}" for some in (named, wrong)), verdicts]
        )
    return tabulate(lines, ["setting", "model", "models", "named %", "wrongly %", "verdicts"], tablefmt="github")


if __name__ == "__main__":
    run(int(sys.argv[1]) if len(sys.argv) > 1 else 200, tuple(sys.argv[2:]) or tuple(SETTINGS))
    print(table(rows()))
