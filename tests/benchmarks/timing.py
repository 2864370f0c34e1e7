"""How the benchmarks measure time."""

import time
from collections.abc import Callable

from tabulate import tabulate


def best(work: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """The least time of several runs, in seconds: the one that was disturbed least."""
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def show(rows: list[list[object]], headers: list[str]) -> None:
    print(tabulate(rows, headers, floatfmt=".4g"), flush=True)
