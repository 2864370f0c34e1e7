"""How often a report's verdicts are wrong, and whether its power statements come true.

    python -m tests.simulations.verdicts [REPETITIONS]

Worlds in which the truth is known: each problem has a difficulty of its own (the accuracy is beta-distributed over
problems), each learner answers P queries of it. The judgements are those that reports make.
"""

import sys

import numpy as np

from llm_icl.analysis.comparisons import MARGIN, Comparison, judge

MODELS = 12
# Mean accuracy, spread over problems (the beta distribution's sum of parameters; infinite for none), queries.
WORLDS = [(0.7, np.inf, 1), (0.7, 4.0, 10), (0.9, 2.0, 40), (0.55, 8.0, 20)]
PROBLEMS = (20, 60, 200, 400)


def correct(random, accuracy, spread, problems, queries, learners):
    """The number of correct answers, (learners, N): all learners are equally good on each problem."""
    share = np.full(problems, accuracy)
    if np.isfinite(spread):
        share = random.beta(spread * accuracy, spread * (1 - accuracy), problems)
    return random.binomial(queries, share, (learners, problems))


def judged(first, second, queries):
    """Judgements of learners with first (L, N) correct answers against second (L, N) or (N,)."""
    differences = (first - second).astype(float)
    counts = np.full(differences.shape[1], float(queries))
    return judge({i: Comparison(row, counts, int((row != 0).sum())) for i, row in enumerate(differences)})


def false_claims(random, world, problems, repetitions):
    """The share of reports on 12 models that are as good as their reference with an 'above' or 'below'."""
    accuracy, spread, queries = world
    false = 0
    for _ in range(repetitions):
        reference, *models = correct(random, accuracy, spread, problems, queries, 1 + MODELS)
        outcomes = {each.outcome for each in judged(np.array(models), reference, queries).values()}
        false += bool(outcomes & {"above", "below"})
    return false / repetitions


def false_equivalence(random, world, problems, repetitions):
    """The share of reports that call one of 12 models equivalent that is worse by exactly the margin."""
    accuracy, spread, queries = world
    false = 0
    for _ in range(repetitions):
        reference, *models = correct(random, accuracy, spread, problems, queries, 1 + MODELS)
        worse = random.binomial(np.array(models), 1 - MARGIN / accuracy)
        false += any(each.outcome == "equivalent" for each in judged(worse, reference, queries).values())
    return false / repetitions


def power_statement(random, world, problems, repetitions):
    """The share of reports that find a difference of the margin with the number of problems that an earlier report of
    so many problems named; and the median of that number.
    """
    accuracy, spread, queries = world

    def report(count):
        reference, *models = correct(random, accuracy, spread, count, queries, 1 + MODELS)
        worse = random.binomial(np.array(models), 1 - MARGIN / accuracy)
        return judged(worse[:1], reference, queries)[0]

    named = [report(problems).needed for _ in range(repetitions)]
    named = [int(count) for count in named if np.isfinite(count)]
    found = sum(report(max(count, 2)).outcome == "below" for count in named)
    return found / len(named), float(np.median(named))


def name(world):
    accuracy, spread, queries = world
    return f"{accuracy}, {'none' if np.isinf(spread) else f'beta of sum {spread:.0f}'}, {queries}"


def claims(random, repetitions):
    print("| accuracy, spread, queries | problems | false claim in a report | false equivalence |")
    print("| --- | --- | --- | --- |")
    for world in WORLDS:
        for problems in PROBLEMS:
            claimed = false_claims(random, world, problems, repetitions)
            equivalent = false_equivalence(random, world, problems, repetitions)
            row = f"| {name(world)} | {problems} | {100 * claimed:.1f} % | {100 * equivalent:.1f} % |"
            print(row, flush=True)


def power(random, repetitions):
    print("| accuracy, spread, queries | found after a report on | problems named (median) | found |")
    print("| --- | --- | --- | --- |")
    for world in WORLDS:
        for problems in PROBLEMS:
            found, count = power_statement(random, world, problems, repetitions)
            print(f"| {name(world)} | {problems} | {count:.0f} | {100 * found:.1f} % |", flush=True)


if __name__ == "__main__":
    repetitions = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    claims(np.random.default_rng(0), repetitions)
    power(np.random.default_rng(1), repetitions)
