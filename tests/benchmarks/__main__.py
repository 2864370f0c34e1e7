"""Run the benchmarks and print their tables."""

import sys

from tests.benchmarks import (
    calls,
    curves,
    demonstrations,
    drawing,
    harnesses,
    lower_precision,
    mixers,
    neighbours,
    queries,
    reaching,
    report,
    startup,
    training,
)

BENCHMARKS = {
    "startup": startup,
    "drawing": drawing,
    "neighbours": neighbours,
    "curves": curves,
    "calls": calls,
    "queries": queries,
    "demonstrations": demonstrations,
    "training": training,
    "reaching": reaching,
    "lower_precision": lower_precision,
    "mixers": mixers,
    "report": report,
    "harnesses": harnesses,
}


def main() -> None:
    for name in sys.argv[1:] or BENCHMARKS:
        print(f"\n{name}: {(BENCHMARKS[name].__doc__ or '').strip()}\n", flush=True)
        BENCHMARKS[name].run()


if __name__ == "__main__":
    main()
