"""How the benchmarks measure time."""

import statistics
import time
from collections.abc import Callable, Mapping

from tabulate import tabulate


def best(work: Callable[[], object], repeats: int = 5, clock: Callable[[], float] = time.perf_counter) -> float:
    """The least time of several runs, in seconds: the one that was disturbed least."""
    times = []
    for _ in range(repeats):
        start = clock()
        work()
        times.append(clock() - start)
    return min(times)


def by_turns(
    work: Mapping[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The median time of each, in seconds; all run in every round, so that what disturbs one disturbs the others."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(rounds + 1):
        for name, call in work.items():
            start = clock()
            call()
            if repeat:  # the first round warms
                times[name].append(clock() - start)
    return {name: statistics.median(some) for name, some in times.items()}


def show(rows: list[list[object]], headers: list[str]) -> None:
    print(tabulate(rows, headers, floatfmt=".4g"), flush=True)
