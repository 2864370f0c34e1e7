"""Designs and subjects for tests: a few candidates at random queries, without asking any learner."""

import numpy as np

from llm_icl.analysis.identification.data import Candidate, Design
from llm_icl.analysis.identification.repeats import Repeats


def design(seed=0, sizes=(3, 6), problems=24, queries=6, n=4, candidates=4, soft=False):
    """Random examples, queries and candidates; candidate k says 1 on a random half of the queries."""
    random = np.random.default_rng(seed)
    shape = (len(sizes), problems, queries)
    xs = [random.integers(0, 2, (problems, m, n), dtype=np.uint8) for m in sizes]
    shown = [random.integers(0, 2, (problems, m), dtype=np.uint8) for m in sizes]
    asked = random.integers(0, 2, (*shape, n), dtype=np.uint8)
    drawn = random.random((candidates, *shape))
    answers = drawn if soft else (drawn > 0.5).astype(float)
    named = tuple(Candidate(f"c{k}", answers[k][None], (f"c{k}",)) for k in range(candidates))
    return Design(tuple(sizes), xs, shown, asked, named)


def flips(answers, share, seed=0):
    return np.where(np.random.default_rng(seed).random(answers.shape) < share, 1 - answers, answers)


def drawn(probability, seed=0):
    return (np.random.default_rng(seed).random(probability.shape) < probability).astype(float)


def twice(first, second):
    """Two labels to every question."""
    return Repeats(np.full(first.shape, 2), (first + second).astype(np.int64))
