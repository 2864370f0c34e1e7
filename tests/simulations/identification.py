"""Known machines: how often the identification names them (`make identification`).

    python -m tests.simulations.identification REPETITIONS [TASK …]

Every repetition draws 64 problems of each task (n = 5), searches 8 queries behind 5, 10 and 20 examples of each, and
identifies: every candidate as it is, with 10 % of flips, with temperature 2 and bias ±1, and drawn from its
probability; pairs of candidates, mixed one half each at every query, over contexts and over problems, and changing
between 5 and 10 examples; outsiders; coin flips and a constant; each from labels, from labels that were asked twice,
and from probabilities. A row of the table that has 200 subjects gets no more: every repetition has twenty of the first
rows and one of the last. Finished
subjects are kept in outputs/identification.jsonl (delete it to begin again), and the same command resumes; several may
run at once, with different tasks. The table is of all that is there.
"""

import dataclasses
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tabulate import tabulate

from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.links import Tallies, logit, sigmoid
from llm_icl.analysis.identification.mixtures import OVER
from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.analysis.identification.result import Identification
from llm_icl.analysis.identification.separation import power, told_apart
from llm_icl.analysis.identification.structure import Structure
from llm_icl.analysis.identification.verdict import LEVEL, POWER
from llm_icl.config.specs import Spec
from llm_icl.experiments.candidates import algorithms, probed
from llm_icl.learners.decision_tree import shares_of_ones
from llm_icl.problems import Problems
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems

Floats = NDArray[np.float64]

KEPT = Path(__file__).parents[2] / "outputs" / "identification.jsonl"
TASKS = ("conjunction", "majority", "sparse-parity")
# What a row of the table needs.
SUBJECTS = 200
# All pairs take turns: so many of them in each repetition.
PAIRS = 4
OUTSIDERS = (
    "nearest-neighbour:k=5,metric=cosine",
    "a tree of depth 2",
    "a Boolean circuit",
    "bayes-labels:task=threshold",
    "bayes-labels:task=full-majority",
)


@dataclasses.dataclass(frozen=True)
class Setting:
    """So many problems of n bits, and queries behind each number of examples."""

    n: int
    problems: int
    sizes: tuple[int, ...]
    queries: int


USUAL = Setting(n=5, problems=64, sizes=(5, 10, 20), queries=8)


@dataclasses.dataclass(frozen=True)
class Subject:
    """A machine: its cell in the table, the verdict and the names that are right, its P(answer 1) as far as it is known
    (M, C, Q), and its answers; the second ones, if it is asked twice.
    """

    cell: str
    verdict: str
    names: tuple[str, ...]
    truth: Floats
    answers: Floats
    probabilities: bool
    again: Floats | None = None

    @property
    def asked(self) -> str:
        return "probabilities" if self.probabilities else "labels" if self.again is None else "labels, twice"


class World:
    """One repetition of a task: contexts, probes, candidates' answers, and what machines answer there."""

    def __init__(self, task: str, repetition: int, setting: Setting = USUAL) -> None:
        self.task, self.repetition, self.setting = load_task(Spec(task)), repetition, setting
        self.algorithms = algorithms(self.task, setting.n)
        self.problems = draw_problems(self.task, setting.n, max(setting.sizes), setting.problems, seed=repetition)
        self.design = probed(self.problems, setting.sizes, setting.queries, self.algorithms, seed=repetition)
        self.structure = Structure(self.design)
        self.random = np.random.default_rng([repetition, len(task)])

    @property
    def contexts(self) -> list[Problems]:
        return [self.problems.prefix(m) for m in self.setting.sizes]

    def machine(self, k: int) -> Floats:
        """P(y = 1) of a candidate; of the kernel vote with a scale and a decay that are none of its variants."""
        if not self.design.candidates[k].is_family:
            return self.design.candidates[k].probability[0]
        tau, decay = self.random.uniform(0.4, 1.8), self.random.uniform(0.7, 1.0)
        return self.learner(f"kernel-vote:tau={tau:.3f},decay={decay:.3f}")

    def learner(self, name: str) -> Floats:
        (algorithm,) = algorithms(self.task, self.setting.n, [name])
        pairs = zip(self.contexts, self.design.queries, strict=True)
        return np.stack([algorithm.answers(context, queries)[0] for context, queries in pairs])

    def outsider(self, name: str) -> Floats:
        if name == "a tree of depth 2":
            return np.stack([_shallow(*pair) for pair in zip(self.contexts, self.design.queries, strict=True)])
        if name == "a Boolean circuit":
            return self._circuit()
        return self.learner(name)

    def _circuit(self) -> Floats:
        """A random circuit of the query, the last three and the first two examples; one that is not nearly constant."""
        inputs = []
        for context, queries in zip(self.contexts, self.design.queries, strict=True):
            some = [-3, -2, -1, 0, 1]
            wires = np.concatenate([context.xs[:, some].reshape(len(context), -1), context.shown[:, some]], axis=1)
            inputs.append(np.concatenate([np.repeat(wires[:, None], queries.shape[1], axis=1), queries], axis=-1))
        start = list(np.moveaxis(np.stack(inputs), -1, 0))
        gates: tuple[Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.uint8]], ...] = (
            np.bitwise_and,
            np.bitwise_or,
            np.bitwise_xor,
        )
        while True:
            wires = list(start)
            for _ in range(12):
                late = self.random.integers(max(0, len(wires) - 12), len(wires))
                any_ = self.random.integers(0, len(wires))
                wires.append(gates[self.random.integers(len(gates))](wires[any_], wires[late]))
            if 0.2 < wires[-1].mean() < 0.8:
                return wires[-1].astype(np.float64)

    def subjects(self, twice: bool = True) -> Iterator[Subject]:
        """All machines; then those that answer by labels, asked twice."""
        once = list(self._once())
        yield from once
        if not twice:
            return
        for subject in once:
            if not subject.probabilities:
                yield dataclasses.replace(subject, again=self._drawn(subject.truth))
        for k, name in enumerate(self.design.names):
            flips = self._flipped(name, self.machine(k), False)
            # A rule that says the opposite of the candidate at a tenth of the questions, always at the same.
            yield dataclasses.replace(flips, cell="10 % flips that come back", verdict="outsider", again=flips.answers)

    def _once(self) -> Iterator[Subject]:
        names = self.design.names
        for k, name in enumerate(names):
            p = self.machine(k)
            yield from self._both("as it is", "single", (name,), p)
            for probabilities in (False, True):
                yield self._flipped(name, p, probabilities)
                yield self._tempered(name, p, probabilities)
            if ((p > 0.02) & (p < 0.98)).any():
                yield Subject("drawn from P", "single", (name,), p, self._drawn(p), False)
        pairs = list(combinations(range(len(names)), 2))
        turn = np.arange(PAIRS) + PAIRS * self.repetition
        # Pairs in a fixed random order, the first of a pair by coin.
        order = np.random.default_rng(0).permutation(len(pairs))
        for i in turn:
            k, j = pairs[order[i % len(pairs)]]
            if self.random.random() < 0.5:
                k, j = j, k
            a, b = self.machine(k), self.machine(j)
            yield from self._mixed(names[k], names[j], a, b)
        for name in OUTSIDERS:
            yield from self._both(f"outsider: {name}", "outsider", (name,), self.outsider(name))
        shape = self.design.shape
        half = np.full(shape, 0.5)
        yield Subject("coin flips", "independent", (), half, self._drawn(half), False)
        yield Subject("coin flips", "independent", (), half, self.random.random(shape), True)
        yield from self._both("always 1", "independent", (), np.full(shape, 0.97))

    def _both(self, cell: str, verdict: str, names: tuple[str, ...], p: Floats) -> Iterator[Subject]:
        label = _label(p)
        yield Subject(cell, verdict, names, label, label, False)
        yield Subject(cell, verdict, names, p, p, True)

    def _flipped(self, name: str, p: Floats, probabilities: bool) -> Subject:
        flipped = self.random.random(p.shape) < 0.1
        given = p if probabilities else _label(p)
        return Subject(
            "10 % flips", "single", (name,), 0.8 * given + 0.1, np.where(flipped, 1 - given, given), probabilities
        )

    def _tempered(self, name: str, p: Floats, probabilities: bool) -> Subject:
        q = sigmoid(logit(p) / 2 + self.random.choice([-1.0, 1.0]))
        return Subject(
            "temperature 2, bias ±1", "single", (name,), q, q if probabilities else self._drawn(q), probabilities
        )

    def _mixed(self, first: str, second: str, a: Floats, b: Floats) -> Iterator[Subject]:
        names, coin = (first, second), self.random.random(a.shape) < 0.5
        truth = (_label(a) + _label(b)) / 2
        cell = "mixture within queries"
        yield Subject(cell, "queries", names, truth, np.where(coin, _label(a), _label(b)), False)
        yield Subject(cell, "queries", names, (a + b) / 2, (a + b) / 2, True)
        whole = np.where(coin[..., :1], a, b)
        yield from self._both("mixture over contexts", "contexts", names, whole)
        if sizes := len(a) - 1:  # else a problem has one context, and nothing changes
            yield from self._both("mixture over problems", "problems", names, np.where(coin[:1, :, :1], a, b))
            changed = np.concatenate([a[:1], b[1:]])
            yield from self._both("change at 10 examples", "changes", (first, *[second] * sizes), changed)

    def _drawn(self, p: Floats) -> Floats:
        return (self.random.random(p.shape) < p).astype(np.float64)

    def inseparable(self, subject: Subject, names: tuple[str, ...]) -> bool:
        """Whether so many problems cannot tell each of these candidates, linked, from the subject's truth."""
        truth = np.clip(subject.truth, 0.002, 0.998)
        others = np.concatenate([c.probability for c in self.design.candidates if c.name in names])
        links, _ = Tallies(others, truth, self.design.folds).fit()
        _, strength = told_apart(truth, links.apply(others), ~np.isnan(truth))
        level = LEVEL / (len(self.design.candidates) - 1)
        return all(power(float(s), level) < POWER for s in strength)

    def right(self, subject: Subject, found: Identification) -> bool:
        if subject.verdict == "outsider":
            return found.verdict in ("nearest", "none")
        if subject.verdict == "single":
            others = tuple(name for name in found.names if name not in subject.names)
            named = found.verdict in ("single", "too few") and subject.names[0] in found.names
            return named and (not others or self.inseparable(subject, others))
        if subject.verdict == "changes":
            return found.verdict == "changes" and found.names == subject.names
        if found.verdict in ("single", "too few") and subject.verdict in OVER:
            return bool(found.names) and self.inseparable(subject, found.names)
        return found.verdict == subject.verdict and set(found.names) >= set(subject.names)


def _label(p: Floats) -> Floats:
    return (p > 0.5).astype(np.float64)


def _shallow(contexts: Problems, queries: NDArray[np.uint8]) -> Floats:
    known = np.ones((queries.shape[1], contexts.points), dtype=bool)
    return shares_of_ones(contexts.xs, contexts.shown, queries, known, depth=2)


def outcome(world: World, subject: Subject) -> dict[str, object]:
    began = time.process_time()
    again = subject.again
    repeats = None if again is None else Repeats(np.full(again.shape, 2), (subject.answers + again).astype(np.int64))
    found = identify(
        world.design, subject.answers, probabilities=subject.probabilities, repeats=repeats, structure=world.structure,
        flexible=False, seed=world.repetition,
    )  # fmt: skip
    seconds = time.process_time() - began
    weights = [[mixed.over, mixed.names, [list(map(float, w)) for w in mixed.weights]] for mixed in found.mixtures]
    tests = {each.name: each.left.p_value for each in found.candidates if each.left}
    tests |= {mixed.over: mixed.left.p_value for mixed in found.mixtures}
    return {
        "cell": subject.cell, "asked": subject.asked, "truth": subject.names,
        "expected": subject.verdict, "verdict": found.verdict, "names": found.names,
        "right": world.right(subject, found), "share": list(map(float, found.share)),
        "shares": {each.name: round(each.share.value, 4) for each in found.candidates[:3]},
        "tests": tests, "weights": weights, "needed": found.needed, "noticed": found.noticed, "seconds": seconds,
    }  # fmt: skip


def run(repetitions: int, tasks: tuple[str, ...], kept: Path = KEPT) -> None:
    kept.parent.mkdir(exist_ok=True)
    for repetition in range(repetitions):
        for task in tasks:
            before = rows(kept)
            if any((row["task"], row["repetition"]) == (task, repetition) for row in before):
                continue
            counts = Counter((row["cell"], row["asked"]) for row in before)
            world = World(task, repetition)
            some = (each for each in world.subjects() if counts[each.cell, each.asked] < SUBJECTS)
            found = [outcome(world, subject) for subject in some]
            if not found:  # every row has enough
                return
            lines = [json.dumps({"task": task, "repetition": repetition, **each}) for each in found]
            with kept.open("a", encoding="utf-8") as stream:  # a repetition whole, or not at all
                stream.write("\n".join(lines) + "\n")
            print(f"{task}, repetition {repetition}: {sum(r['right'] for r in found)} of {len(found)}", file=sys.stderr)


def rows(kept: Path = KEPT) -> list[dict]:
    if not kept.exists():
        return []
    return [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def covered(found: list[dict]) -> list[bool]:
    """Whether the interval of each component's weight holds one half, of mixtures that were recognised."""
    hits = []
    for row in found:
        for over, names, weights in row["weights"]:
            if over == row["verdict"] == row["expected"] and set(names) == set(row["truth"]):
                hits += [low <= 0.5 <= high for _, low, high in weights[: len(names)]]
    return hits


def table(found: list[dict]) -> str:
    cells = defaultdict(list)
    for row in found:
        cells[row["cell"], row["asked"]].append(row)
    lines = []
    for (cell, asked), inside in cells.items():
        count = len(inside)
        false = sum(row["verdict"] == "single" and not row["right"] for row in inside)
        too_few = sum(row["verdict"] == "too few" for row in inside)
        wrong = Counter(row["verdict"] for row in inside if not row["right"])
        hits = covered(inside)
        lines.append(
            [
                cell, asked, count,
                f"{100 * sum(row['right'] for row in inside) / count:.1f}", f"{100 * false / count:.1f}",
                f"{100 * too_few / count:.1f}",
                ", ".join(f"{verdict} {n}" for verdict, n in wrong.most_common()),
                f"{100 * np.mean(hits):.1f} of {len(hits)}" if hits else "",
                f"{np.mean([row['seconds'] for row in inside]):.1f}",
            ]
        )  # fmt: skip
    headers = [
        "machine", "answers", "subjects", "right %", "false single %", "too few %", "wrong verdicts",
        "weights covered %", "seconds",
    ]  # fmt: skip
    return tabulate(lines, headers, tablefmt="github")


if __name__ == "__main__":
    run(int(sys.argv[1]), tuple(sys.argv[2:]) or TASKS)
    print(table(rows()))
