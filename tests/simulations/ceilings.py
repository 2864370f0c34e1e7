"""No learner is above its task's ceiling: every task card × option × learner, on 2,000 problems (`make ceilings`).

Finished cells are kept in outputs/ceilings.jsonl (delete it to begin again); the table is docs/design/ceilings.md.
"""

import dataclasses
import itertools
import json
import sys
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from tabulate import tabulate

from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.function_classes import function_class_of
from llm_icl.learners import learner_of, learners
from llm_icl.learners.ceilings import CEILING, HINDSIGHT, standing
from llm_icl.problems import Problems, Task
from llm_icl.randomness import Source
from llm_icl.tasks.cards import load_task, task_names
from llm_icl.tasks.drawing import draw_problems

ROOT = Path(__file__).parents[2]
PROBLEMS = 2000
OPTIONS = {"noise": "0.1", "bias": "0.3", "planted": "0.4", "teaching": "0.5"}
# n and points of the problems of each card: small, and as large as exact Bayes is quick with noise.
USUAL = ((3, 16), (6, 24))
SIZES = {
    "dnf": ((2, 16), (3, 14)),
    "cnf": ((2, 16), (3, 14)),
    "monotone-dnf": ((3, 20), (4, 24)),
    "monotone-cnf": ((3, 20), (4, 24)),
    "halfspace": ((2, 12), (3, 16)),
    "integer-halfspace": ((2, 12), (4, 20)),
    "nearest-neighbour": ((4, 30), (8, 30)),
    "sparse-disjunction": ((5, 16), (8, 24)),
    "threshold": ((3, 16), (5, 20)),
}
# Learners with their options. Those of `SLOW` are refitted for every position, so they answer one position a problem.
NEIGHBOURS = [
    f"k={k},metric={metric},tie={tie}"
    for k in (1, 3)
    for metric in ("hamming", "cosine")
    for tie in ("earliest", "latest", "vote")
]
TARGETS = ("conjunction", "disjunction", "monotone-conjunction", "monotone-disjunction")
VARIANTS = {"nearest-neighbour": NEIGHBOURS, "elimination": [f"target={target}" for target in TARGETS]}
CONSTANTS = ("always 0", "always 1")
SLOW = {"logistic": [""], "feed-forward": ["hidden=8,steps=12,rate=0.05"]}


def load(text: str) -> Task:
    return load_task(parse_specs([text])[0])


def tasks(card: str, n: int, values: Mapping[str, str] = OPTIONS) -> Iterator[str]:
    """A card without any option, with each one and with each pair, as far as its function class has them at this n."""
    task, separator = load(card), "," if ":" in card else ":"
    function_class = function_class_of(task, n)
    options = ["noise", "bias"]
    if task.planted > 0:
        options.append("planted")
    try:
        function_class.teaching_sequence(function_class.draw(Source.of("any", [0]), n))
        options.append("teaching")
    except RequestError:
        pass
    for size in range(3):
        for chosen in itertools.combinations(options, size):
            own = {"planted": "0"} if task.planted > 0 else {}
            own |= {option: values[option] for option in chosen}
            yield f"{card}{separator}{','.join(f'{key}={value}' for key, value in own.items())}".rstrip(":,")


def learner_names() -> list[str]:
    """Both constants and every registered learner, with all options that change its answers."""
    kinds = VARIANTS | SLOW
    names = [f"{name}:{options}".rstrip(":") for name, _ in learners.items() for options in kinds.get(name, [""])]
    return [*CONSTANTS, *names]


def right(learner: str, problems: Problems) -> NDArray[np.float64]:
    """Which positions a learner answers correctly, (N, m); NaN where it isn't asked."""
    if learner in CONSTANTS:
        return (problems.ys == int(learner[-1])).astype(np.float64)
    asked = learner_of(parse_specs([learner])[0])
    if learner.partition(":")[0] not in SLOW:
        return (asked.answer(problems).prediction == problems.ys).astype(np.float64)
    found = np.full(problems.ys.shape, np.nan)
    for k in range(problems.points):
        chosen = np.arange(k, len(problems), problems.points)
        some = problems[chosen]
        cut = {key: getattr(some, key)[:, : k + 1] for key in ("xs", "ys", "shown")}
        answers = asked.answer_at(dataclasses.replace(some, **cut), np.array([k]))
        found[chosen, k] = answers.prediction[:, 0] == some.ys[:, k]
    return found


def z_of(values: NDArray[np.float64]) -> float:
    """The mean in standard errors; infinite if all values are the same and not 0."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    return float(mean / error) if error > 0 else float(np.sign(mean) * np.inf) if mean else 0.0


def cell(text: str, n: int, points: int, names: Sequence[str], problems: int = PROBLEMS) -> dict[str, Any]:
    """The gains of learners over `bayes`, and over `bayes-labels` where that is another, each as [points, standard
    errors], paired by problem; and the calibration of `bayes`, whose errors y - P have mean 0 whatever P is.
    """
    task = load(text)
    drawn = draw_problems(task, n, points, problems, seed=zlib.crc32(text.encode()))  # cells are independent
    probability = learner_of(parse_specs(["bayes"])[0]).answer(drawn).probability
    best = (probability > 0.5) == drawn.ys
    left_out = {CEILING, HINDSIGHT}  # the ceiling itself, and what no ceiling applies to
    hits = {name: right(name, drawn) for name in names if standing(name, task, n) not in left_out}

    def gains(reference: NDArray[np.float64]) -> dict[str, list[float]]:
        found = {name: np.nanmean(hit - reference, axis=1) for name, hit in hits.items()}
        return {name: [100 * float(gain.mean()), z_of(gain)] for name, gain in found.items()}

    errors = drawn.ys - probability
    return {
        "task": text,
        "n": n,
        "points": points,
        "problems": problems,
        "gains": gains(best.astype(np.float64)),
        "gains_over_labels": gains(hits["bayes-labels"]) if "bayes-labels" in hits else {},
        "calibration": [z_of(errors.mean(axis=1)), z_of((errors * (probability - 0.5)).mean(axis=1))],
    }


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for all the tests together (Holm 1979)."""
    order = np.argsort(p_values)
    scaled = np.asarray(p_values)[order] * np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1.0)
    return [float(p) for p in adjusted]


def beaten(cells: Sequence[dict[str, Any]], level: float = 0.05) -> list[str]:
    """The learners that are above a ceiling beyond chance, one-sided, corrected for all comparisons in all cells."""
    tests = [(one, name, z) for one in cells for name, (_, z) in one["gains"].items()]
    adjusted = holm([float(norm.sf(z)) for _, _, z in tests])
    return [
        f"{name} on {one['task']}, n = {one['n']}: {z:.1f} standard errors above bayes"
        for (one, name, z), p in zip(tests, adjusted, strict=True)
        if p < level
    ]


def miscalibrated(cells: Sequence[dict[str, Any]], level: float = 0.05) -> list[str]:
    """Where the errors of exact Bayes differ from 0 beyond chance, two-sided, corrected for all cells."""
    tests = [(one, z) for one in cells for z in one["calibration"]]
    adjusted = holm([float(2 * norm.sf(abs(z))) for _, z in tests])
    return [f"{one['task']}, n = {one['n']}: {z:.1f}" for (one, z), p in zip(tests, adjusted, strict=True) if p < level]


def document(cells: Sequence[dict[str, Any]], whole: int) -> str:
    """The page that `make ceilings` writes, of the cells that are finished out of so many."""
    tests = sum(len(one["gains"]) for one in cells)
    rows = []
    for card in dict.fromkeys(one["task"].partition(":")[0] for one in cells):
        own = [one for one in cells if one["task"].partition(":")[0] == card]
        nearest = max(((z, name, one) for one in own for name, (_, z) in one["gains"].items()), key=lambda t: t[0])
        over = [(gain, name, one) for one in own for name, (gain, z) in one["gains_over_labels"].items() if z > 5]
        most = max(over, key=lambda t: t[0], default=None)
        about = f"{most[0]:+.1f}: {most[1]} at {_options(most[2])}, n = {most[2]['n']}" if most else "none"
        worst = max(abs(z) for one in own for z in one["calibration"])
        rows.append(
            [card, len(own), f"{nearest[0]:+.1f} ({nearest[1]} at {_options(nearest[2])})", f"{worst:.1f}", about]
        )
    headers = ["task", "cells", "max z above bayes", "max abs z of y - P", "most points above bayes-labels"]
    table = tabulate(rows, headers, "github")
    found = "\n".join(f"- {line}" for line in beaten(cells) + miscalibrated(cells)) or "None."
    return f"""# Ceilings, tested

`make ceilings` writes this page: {len(cells)} of {whole} cells so far, a cell being a task card with no option, one, or
two of label noise, biased inputs, planted points and teaching sequences, at a small or a larger n. {PROBLEMS:,}
problems each; both constants, and every learner with every option that changes its answers: {tests:,} comparisons with
`bayes`, paired by problem.

- z: how far the learner that comes nearest is above `bayes`, in standard errors. The largest of {tests:,} null z is
  about {norm.isf(1 / tests):.1f}.
- y - P: the errors of `bayes`, whose mean is 0 over all positions and after weighting with P - 1/2, if its prior is the
  law that problems are drawn from.
- Above `bayes-labels`: where inputs depend on the function it is a reference and not a ceiling; the learner that is
  furthest above it, if one is by more than 5 standard errors.

Rejected after Holm's correction at 5 %, learners above the ceiling and calibrations:

{found}

{table}
"""


def _options(one: dict[str, Any]) -> str:
    return one["task"].partition(":")[2].replace("planted=0,", "") or "no option"


def main() -> None:
    kept = ROOT / "outputs" / "ceilings.jsonl"
    kept.parent.mkdir(exist_ok=True)
    lines = kept.read_text(encoding="utf-8").splitlines() if kept.is_file() else []
    done = {(one["task"], one["n"]): one for one in map(json.loads, lines)}
    names, cells = learner_names(), []
    fast = [name for name in names if name.partition(":")[0] not in SLOW]
    planned = [
        (card, text, n, points, names if size else fast)
        for card in task_names()
        for size, (n, points) in enumerate(SIZES.get(card, USUAL))
        for text in tasks(card, n)
    ]
    page = ""
    for card, of_card in itertools.groupby(planned, key=lambda one: one[0]):
        for _, text, n, points, asked in of_card:
            if (text, n) not in done:
                began = time.monotonic()
                done[text, n] = cell(text, n, points, asked)
                with kept.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(done[text, n]) + "\n")
                print(f"{text}, n = {n}: {time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
            cells.append(done[text, n])
        page = document(cells, len(planned))
        (ROOT / "docs" / "design" / "ceilings.md").write_text(page, encoding="utf-8")
        print(card, file=sys.stderr, flush=True)
    print(page)


if __name__ == "__main__":
    main()
