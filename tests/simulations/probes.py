"""Searched probes against random unseen inputs, and against the task's own points (`make probes`).

    python -m tests.simulations.probes [TASK …]

For each task and n: 8 queries behind 5, 10 and 20 examples of each of 32 problems, searched, random, and the next
points of the problems; how many problems tell each pair of candidates apart with 95 % power. Pairs that none of the
three can tell apart with 10,000 problems are not counted.
"""

import sys
from dataclasses import replace

import numpy as np
from tabulate import tabulate

from llm_icl.analysis.identification.separation import separation
from llm_icl.analysis.identification.verdict import LEVEL
from llm_icl.config.specs import Spec
from llm_icl.experiments.candidates import algorithm_at, algorithms, probed
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

TASKS = ("conjunction", "disjunction", "majority", "sparse-parity", "dnf")
NS = (5, 7, 10)
SIZES, QUERIES, PROBLEMS = (5, 10, 20), 8, 32
MOST = 10_000


def row(task: str, n: int) -> list[object]:
    """The task, n, the pairs; for each way the problems needed for the worst pair and for 90 % of them; and how many
    times as many the other two ways need, as geometric means over pairs.
    """
    loaded = load_task(Spec(task))
    candidates = algorithms(loaded, n)
    problems = draw_problems(loaded, n, max(SIZES) + QUERIES, PROBLEMS, 0)
    designs = [probed(problems, SIZES, QUERIES, candidates, search=search) for search in (True, False)]
    contexts = [problems.prefix(m) for m in SIZES]
    following = np.stack([problems.xs[:, m : m + QUERIES] for m in SIZES])
    asked = tuple(algorithm_at(candidate, contexts, following) for candidate in candidates)
    designs.append(replace(designs[0], queries=following, candidates=asked))
    level = LEVEL / (len(candidates) - 1)
    needed = np.minimum([separation(design, level).needed for design in designs], MOST)  # (3, K, K)
    separable = needed.min(axis=0) < MOST
    np.fill_diagonal(separable, False)
    each = needed[:, separable]
    found: list[object] = [task, n, int(separable.sum())]
    for way in each:
        found += [_problems(way.max()), _problems(np.quantile(way, 0.9))]
    return found + [f"{np.exp(np.log(way / each[0]).mean()):.2f}" for way in each[1:]]


def _problems(number: float) -> str:
    return f"{np.ceil(number):,.0f}" if number < MOST else "never"


def main() -> None:
    rows = []
    for task in sys.argv[1:] or TASKS:
        for n in NS:
            rows.append(row(task, n))
            print(*rows[-1], file=sys.stderr, flush=True)
    headers = [
        "task", "n", "pairs", "searched: worst", "90 %", "random: worst", "90 %", "own points: worst", "90 %",
        "random / searched", "own / searched",
    ]  # fmt: skip
    print(tabulate(rows, headers, tablefmt="github", disable_numparse=True))


if __name__ == "__main__":
    main()
