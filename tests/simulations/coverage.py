"""How often 95 % intervals contain the truth, in worlds where it is known. The tables are in docs/design/intervals.md.

    python -m tests.simulations.coverage [REPETITIONS] [--part 1/2]

Finished cells are kept in outputs/coverage.jsonl, with a checksum of what computes them: what was interrupted is
resumed, and parts can run at the same time. The tables are of the cells that are there.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.integrate import quad
from scipy.special import expit, ndtr, ndtri

from llm_icl.analysis.cells import Answered, Cell
from llm_icl.analysis.intervals import Estimate, crossed_mean, crossed_proportion
from llm_icl.analysis.scores import (
    FLOOR,
    TARGET,
    accuracy,
    difference,
    examples_needed,
    excess_log_loss,
    log_loss,
    overconfidence,
)

RESULTS = Path("outputs/coverage.jsonl")
PAGE = Path("docs/design/intervals.md")
_ANALYSIS = ("cells.py", "comparisons.py", "intervals.py", "scores.py", "studentised.py")
COMPUTES = [Path(__file__), *(Path("llm_icl/analysis") / name for name in _ANALYSIS)]
BEGIN, END = "<!-- made by tests/simulations/coverage.py -->", "<!-- end -->"
PROBLEMS = (20, 50, 100, 200, 400)


@dataclass(frozen=True)
class World:
    """`draw` gives the estimate of one sample of so many problems; `truth` is what it estimates."""

    quantity: str
    name: str
    truth: float
    draw: Callable[[np.random.Generator, int], Estimate]
    problems: tuple[int, ...] = PROBLEMS


def worlds() -> Iterator[World]:
    yield from _accuracies()
    yield from _differences()
    yield from _log_losses()
    yield from _overconfidence()
    yield from _examples()
    yield from _crossed()


# Accuracy: each problem has an accuracy of its own, from a beta distribution; `alike` is the correlation of positions.


def _correct(random, problems, positions, share, alike):
    if alike:
        total = 1 / alike - 1
        share = random.beta(share * total, (1 - share) * total, (problems, 1))
    return (random.random((problems, positions)) < share).astype(float)


def _setting(positions, alike=None):
    several = f"{positions} positions" + ("" if alike is None else f", correlation {alike}")
    return "one position" if positions == 1 else several


def _accuracies():
    for positions, alike in ((1, 0), (10, 0.1), (10, 0.4), (40, 0), (40, 0.05), (40, 0.2), (40, 0.5)):
        for share in (0.5, 0.7, 0.9, 0.95, 0.99, 0.999):

            def draw(random, problems, positions=positions, alike=alike, share=share):
                return accuracy(_correct(random, problems, positions, share, alike))

            yield World("accuracy", f"{share}; {_setting(positions, alike)}", share, draw)
    for share in (0.5, 0.9, 0.97):

        def ragged(random, problems, share=share):
            counts = random.integers(1, 21, (problems, 1))
            return accuracy(_correct(random, problems, 20, share, 0.2), np.arange(20) < counts)

        yield World("accuracy", f"{share}; 1 to 20 positions, correlation 0.2", share, ragged)


# Differences of accuracy, paired by problem.


def _answered(correct, probability=None):
    """With labels 1."""
    probability = np.full(correct.shape, np.nan) if probability is None else probability
    return Answered(np.ones(correct.shape, dtype=bool), correct, probability, correct, {})


def _cell(**learners):
    shape = next(iter(learners.values())).correct.shape
    names = {name.replace("_", "-"): answered for name, answered in learners.items()}
    return Cell("", 0, np.arange(shape[1]), label=np.ones(shape), seen=np.zeros(shape, bool), learners=names)


def _differences():
    for few in (0.02, 0.1):
        for positions in (1, 40):
            for up in (1.0, 0.5):

                def draw(random, problems, few=few, positions=positions, up=up):
                    """In a few problems, the answers at a uniform number of positions differ."""
                    base = _correct(random, problems, positions, 0.5, 0.3)
                    lost = random.random((problems, 1)) < few
                    lost = lost & (np.arange(positions) < random.integers(1, positions + 1, (problems, 1)))
                    ups = random.random((problems, 1)) < up
                    one, other = np.where(lost, ups, base), np.where(lost, ~ups, base)
                    return difference(_cell(a=_answered(one), b=_answered(other)), "a", "b")

                truth = few * (1 + 1 / positions) / 2 * (2 * up - 1)
                which = "the same is better" if up == 1 else "either is better"
                yield World(
                    "difference", f"in {100 * few:.0f} % of problems, {which}; {_at_most(positions)}", truth, draw
                )
    for first, second in ((0.7, 0.7), (0.9, 0.8), (0.99, 0.97)):
        for positions, alike in ((1, 0), (10, 0.1), (40, 0.2), (40, 0.5)):

            def both(random, problems, first=first, second=second, positions=positions, alike=alike):
                total = 1 / alike - 1 if alike else 1e9
                share = random.beta(first * total, (1 - first) * total, (problems, 1))
                one, other = (random.random((2, problems, positions)) < [share, share * second / first]).astype(float)
                return difference(_cell(a=_answered(one), b=_answered(other)), "a", "b")

            yield World("difference", f"{first} and {second}; {_setting(positions, alike)}", first - second, both)


def _at_most(positions):
    return "one position" if positions == 1 else f"1 to {positions} positions"


# Log loss. The logit of the truth is normal over problems and positions, times a factor for overconfident learners.

_LOGITS = {"soft": (1, 1, 1, 1), "confident": (2, 1, 1.5, 2), "overconfident": (1.5, 1, 1, 5), "good": (4, 1.5, 1.5, 1)}


def _logits(random, problems, positions, mean, between, within, factor):
    spread = between * random.standard_normal((problems, 1)) + within * random.standard_normal((problems, positions))
    return factor * (mean + spread)


def _expected(function, mean, between, within, factor):
    spread = np.hypot(between, within)
    knots = np.linspace(-9, 9, 37)
    return sum(
        quad(lambda z: function(factor * (mean + spread * z)) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi), a, b)[0]
        for a, b in pairwise(knots)
    )


def _loss(logit):
    return -np.log(np.clip(expit(logit), FLOOR, 1))


def _sure(logit):
    """Confidence minus accuracy."""
    return expit(abs(logit)) - (logit > 0)


def _learner(logits):
    return _answered((logits > 0).astype(float), expit(logits))


def _log_losses():
    for name, law in _LOGITS.items():
        for positions in (1, 10, 40):

            def draw(random, problems, positions=positions, law=law):
                answered = _learner(_logits(random, problems, positions, *law))
                return log_loss(answered, np.ones(answered.correct.shape))

            yield World("log loss", f"{name}; {_setting(positions)}", _expected(_loss, *law), draw)
    for share in (0.9, 0.99):

        def hard(random, problems, share=share):
            right = _correct(random, problems, 40, share, 0.2)
            return log_loss(_answered(right, right), np.ones(right.shape))

        yield World("log loss", f"0 or 1, {share} right; 40 positions", (1 - share) * -np.log(FLOOR), hard)
    for name, factor in (("twice as sure", 2), ("five times as sure", 5), ("half as sure", 0.5)):

        def above(random, problems, factor=factor):
            logits = _logits(random, problems, 40, 2, 1, 1, 1)
            return excess_log_loss(_cell(bayes_labels=_learner(logits), a=_learner(factor * logits)), "a")

        truth = _expected(_loss, 2, 1, 1, factor) - _expected(_loss, 2, 1, 1, 1)
        yield World("log loss above Bayes", f"{name}; 40 positions", truth, above)


def _overconfidence():
    for sure, share in ((0.9, 0.9), (0.9, 0.7), (0.6, 0.9), (0.99, 0.99)):
        for positions, alike in ((1, 0), (40, 0.2)):

            def draw(random, problems, sure=sure, share=share, positions=positions, alike=alike):
                right = _correct(random, problems, positions, share, alike)
                answered = _answered(right, np.where(right == 1, sure, 1 - sure))
                return overconfidence(answered, np.ones(right.shape))

            yield World(
                "overconfidence", f"{sure} sure, {share} right; {_setting(positions, alike)}", sure - share, draw
            )
    for name, law in _LOGITS.items():

        def spread(random, problems, law=law):
            answered = _learner(_logits(random, problems, 40, *law))
            return overconfidence(answered, np.ones(answered.correct.shape))

        yield World("overconfidence", f"{name}; 40 positions", _expected(_sure, *law), spread)


# Examples needed: learning curves at 40 positions; right answers of a problem are correlated through a normal variable.

_CURVES = {
    "0.88 throughout": np.full(40, 0.88),
    "0.9 throughout": np.full(40, 0.9),
    "0.95 throughout": np.full(40, 0.95),
    "0.5 to 0.89, slowly": 0.5 + 0.39 * np.arange(40) / 39,
    "0.5 to 0.99, quickly": 0.99 - 0.49 * np.exp(-np.arange(40) / 3),
    "0.5 to 0.95, slowly": 0.95 - 0.45 * np.exp(-np.arange(40) / 10),
}


def _examples():
    for name, curve in _CURVES.items():
        for alike in (0, 0.2):

            def draw(random, problems, curve=curve, alike=alike):
                mine, each = random.standard_normal((problems, 1)), random.standard_normal((problems, 40))
                right = ndtr(np.sqrt(alike) * mine + np.sqrt(1 - alike) * each) < curve
                return examples_needed(right.astype(float), np.arange(40))

            there = np.flatnonzero(curve >= TARGET)
            truth = float(there[0]) if len(there) else np.inf
            yield World("examples needed", f"{name}; correlation {alike}", truth, draw, (20, 50, 100))


# Crossed: queries in the place of problems, and several draws of demonstrations.


def _crossed():
    for seeds in (1, 2, 3, 5):
        for between, rest in ((0, 0.5), (0.1, 0.5), (0.3, 0.5), (1, 0.5), (0.3, 0.1)):

            def draw(random, queries, seeds=seeds, between=between, rest=rest):
                by_query, by_seed = random.standard_normal((queries, 1)), between * random.standard_normal(seeds)
                return crossed_mean(by_query + by_seed + rest * random.standard_normal((queries, seeds)))

            name = f"{seeds} seeds, spread {between}, rest {rest}, of queries 1"
            yield World("mean over queries and seeds", name, 0.0, draw, (20, 100))
        for share in (0.5, 0.8, 0.95):
            for between in (0, 0.3):

                def proportion(random, queries, seeds=seeds, between=between, share=share):
                    by_query, by_seed = random.standard_normal((queries, 1)), between * random.standard_normal(seeds)
                    each = by_query + by_seed + random.standard_normal((queries, seeds))
                    right = (each < ndtri(share) * np.sqrt(2 + between**2)).astype(float)
                    return crossed_proportion(right, np.ones_like(right))

                name = f"{share}; {seeds} seeds, spread {between}, of queries 1"
                yield World("accuracy over queries and seeds", name, share, proportion, (20, 100))
    yield from _of_some_queries()
    yield from _one_label()


def _of_some_queries():
    """As Rec2FTP: of the queries that count, which differ from draw to draw."""
    for seeds in (3, 5):
        for asked in (0.05, 0.2):
            for share in (0.5, 0.8, 0.95):

                def draw(random, queries, seeds=seeds, asked=asked, share=share):
                    by_query, by_seed = random.standard_normal((2, queries, 1)), 0.3 * random.standard_normal(seeds)
                    counts, each = by_query + random.standard_normal((2, queries, seeds))
                    trials = (counts < ndtri(asked) * np.sqrt(2)).astype(float)
                    return crossed_proportion(trials * (each + by_seed < ndtri(share) * np.sqrt(2.09)), trials)

                name = f"{share} of {100 * asked:.0f} % of the queries; {seeds} seeds, spread 0.3, of queries 1"
                yield World("fraction of some queries, over seeds", name, share, draw, (20, 100, 400))


def _one_label():
    """A draw of demonstrations decides the label that is answered throughout: far from normal, and seldom seen in few
    draws.
    """
    for seeds in (2, 3, 5, 10):
        for often in (0.5, 0.8):

            def draw(random, queries, seeds=seeds, often=often):
                answered, label = random.random(seeds) < often, random.random((queries, 1)) < 0.65
                right = (answered == label).astype(float)
                return crossed_proportion(right, np.ones_like(right))

            name = f"the commoner of two labels in {100 * often:.0f} % of draws; {seeds} seeds"
            truth = often * 0.65 + (1 - often) * 0.35
            yield World("accuracy where a draw decides the label", name, truth, draw, (20, 100))


# Running and writing.


def simulated(world: World, problems: int, repetitions: int) -> dict[str, float]:
    """The numbers of samples with an interval, with the truth above it, with the truth below it."""
    random = np.random.default_rng(crc32(f"{world.quantity} {world.name} {problems}".encode()))
    estimates = [world.draw(random, problems) for _ in range(repetitions)]
    given = [estimate for estimate in estimates if not np.isnan(estimate.low)]
    above = sum(bool(estimate.high < world.truth - 1e-12) for estimate in given)
    below = sum(bool(estimate.low > world.truth + 1e-12) for estimate in given)
    return {"repetitions": repetitions, "given": len(given), "above": above, "below": below}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repetitions", nargs="?", type=int, default=2000)
    parser.add_argument("--part", default="1/1", help="the first of two parts: 1/2")
    arguments = parser.parse_args()
    part, parts = map(int, arguments.part.split("/"))
    RESULTS.parent.mkdir(exist_ok=True)
    by = [arguments.repetitions, crc32(b"".join(path.read_bytes() for path in COMPUTES))]
    cells = [(world, problems) for world in worlds() for problems in world.problems]
    done = _results(by)
    for i, (world, problems) in enumerate(cells):
        key = (world.quantity, world.name, problems)
        if i % parts == part - 1 and key not in done:
            found = simulated(world, problems, arguments.repetitions)
            with RESULTS.open("a") as file:
                file.write(json.dumps({"cell": key, "by": by} | found) + "\n")
            print(f"{i + 1} of {len(cells)}:", *key, _entry(found), flush=True)
    _write(_results(by), len(cells), arguments.repetitions)


def _results(by) -> dict[tuple, dict]:
    """The finished cells, so many repetitions of this code."""
    lines = RESULTS.read_text().splitlines() if RESULTS.exists() else []
    return {tuple(found["cell"]): found for found in map(json.loads, lines) if found["by"] == by}


def _entry(found) -> str:
    """Coverage, with the misses on either side; and among the intervals given where some are not."""
    count, given, above, below = (found[key] for key in ("repetitions", "given", "above", "below"))
    if not given:
        return "not given"
    text = f"{100 - 100 * (above + below) / count:.1f} ({100 * above / count:.1f}, {100 * below / count:.1f})"
    if given == count:
        return text
    return f"{text}; of the {100 * given / count:.0f} % given {100 - 100 * (above + below) / given:.1f}"


def _covered(found) -> float:
    return 1 - (found["above"] + found["below"]) / found["repetitions"]


def _write(found, whole: int, repetitions: int) -> None:
    slack = 2 * np.sqrt(0.0475 / repetitions)  # two standard errors
    quantities = list(dict.fromkeys(key[0] for key in found))
    said = f"{len(found)} of {whole} cells so far, {repetitions:,} repetitions each"
    lines = [f"{said}; two standard errors of 95 % are {100 * slack:.1f} points.", ""]
    lines += [
        f"| cells | below {94 - 100 * slack:.0f} % | to {96 + 100 * slack:.0f} % | above | never given | lowest |"
    ]
    lines += ["| --- | --- | --- | --- | --- | --- |"]
    for quantity in quantities:
        some = [numbers for key, numbers in found.items() if key[0] == quantity]
        shares = [_covered(numbers) for numbers in some if numbers["given"]]
        below, above = sum(share < 0.94 - slack for share in shares), sum(share > 0.96 + slack for share in shares)
        counts = (below, len(shares) - below - above, above, len(some) - len(shares))
        lines.append(f"| {quantity} | {' | '.join(map(str, counts))} | {100 * min(shares, default=np.nan):.1f} |")
    lines.append("")
    for quantity in quantities:
        names = list(dict.fromkeys(key[1] for key in found if key[0] == quantity))
        columns = sorted({key[2] for key in found if key[0] == quantity})
        lines += [f"### {quantity[0].upper()}{quantity[1:]}", ""]
        lines += [f"| world | {' | '.join(map(str, columns))} |", "| --- |" + " --- |" * len(columns)]
        for name in names:
            there = [found.get((quantity, name, column)) for column in columns]
            entries = [_entry(numbers) if numbers else "" for numbers in there]
            lines.append(f"| {name} | {' | '.join(entries)} |")
        lines.append("")
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + END + rest.split(END)[1])


if __name__ == "__main__":
    main()
