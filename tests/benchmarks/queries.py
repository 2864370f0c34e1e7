"""Eight queries behind the same examples against one (SmolLM2 135M, conjunction, n = 5, 6 problems): seconds of
processor time; the bar is 1.6 times in all."""

import itertools
import tempfile
import time
from pathlib import Path

import numpy as np

from llm_icl.backends import backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.asking.ask import ask
from tests.benchmarks.timing import best, show

_EXAMPLES, _QUERIES, _PROBLEMS = (5, 10, 20), 8, 6


def run() -> None:
    entry = find_model("smollm2-135m")
    model = backends.get(entry.backend)(entry)
    inputs = np.array(list(itertools.product((0, 1), repeat=5)), dtype=np.uint8)
    rows, totals = [], np.zeros(2)
    for examples in _EXAMPLES:
        problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 5, examples, _PROBLEMS, 0)
        queries = np.tile(inputs[:_QUERIES], (_PROBLEMS, 1, 1))  # (N, Q, n)

        def work(count: int, problems=problems, queries=queries, examples=examples) -> None:
            with tempfile.TemporaryDirectory() as folder:  # an empty cache: everything is computed
                ask(model, "basic", problems.followed_by(queries[:, :count]), Path(folder), "curve", [examples])

        times = [best(lambda count=count: work(count), 3, time.process_time) for count in (1, _QUERIES)]
        rows.append([examples, *times, times[1] / times[0]])
        totals += times
    rows.append(["all", *totals, totals[1] / totals[0]])
    show(rows, ["examples", "one query", "eight", "ratio"])
