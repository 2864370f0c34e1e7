"""The algorithms that a subject's answers are compared with, and their answers to many queries behind each context."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.data import Candidate, Design
from llm_icl.analysis.identification.probes import choose, searched
from llm_icl.analysis.identification.structure import evenly
from llm_icl.config.specs import Spec, parse_specs
from llm_icl.errors import RequestError
from llm_icl.function_classes.base import function_class_of
from llm_icl.learners.base import Learner, learner_of
from llm_icl.learners.bayes import Bayes
from llm_icl.learners.ceilings import inputs_are_informative
from llm_icl.problems import Answers, Bits, Problems, Task
from llm_icl.tasks.cards import load_task

Floats = NDArray[np.float64]

DEFAULT = (
    "majority-label",
    "last-label",
    *(f"nearest-neighbour:k={k},tie={tie}" for k, tie in product((1, 3), ("earliest", "latest", "vote"))),
    "averaging",
    "perceptron",
    "winnow",
    "logistic",
    "decision-tree",
    "elimination",
    "gaussian-elimination",
    "bayes-labels",
)
# The variants of the kernel vote, from which the likelihood chooses.
TAUS = tuple(np.geomspace(0.35, 2.2, 20).round(3).tolist())
DECAYS = (1.0, 0.99, 0.98, 0.97, 0.96, 0.945, 0.93, 0.915, 0.9, 0.88, 0.86, 0.84, 0.82, 0.8, 0.775, 0.75, 0.725, 0.7,
          0.675, 0.65)  # fmt: skip
KERNEL = "kernel-vote"
KERNELS = tuple(f"{KERNEL}:tau={tau},decay={decay}" for tau, decay in product(TAUS, DECAYS))
# What exact Bayes of another class would answer: what does the subject assume?
ASSUMED = ("conjunction", "disjunction", "majority", "sparse-parity")
# Exact Bayes of another class lists its functions; more than this take minutes.
_MOST_FUNCTIONS = 2**14


@dataclass(frozen=True)
class Algorithm:
    """A candidate: its name, and its learner, or those of a family's variants."""

    name: str
    learners: tuple[Learner, ...]
    variants: tuple[str, ...]

    def answers(self, contexts: Problems, queries: Bits) -> Floats:
        """P(y = 1) of every variant, (V, C, Q); 0 or 1 of learners that give labels only."""
        return np.stack([probability_of(learner.answer_queries(contexts, queries)) for learner in self.learners])

    def represented(self) -> "Algorithm":
        """The first, the middle and the last variant, which probes should tell from others."""
        chosen = evenly(len(self.learners), 3)
        return Algorithm(self.name, tuple(self.learners[v] for v in chosen), tuple(self.variants[v] for v in chosen))


def refusal_of_choice(learner: Learner, task: Task, n: int) -> str:
    """Why a learner cannot answer queries of choice behind a task's examples; empty if it can."""
    if isinstance(learner, Bayes) and not learner.refusal(task, n) and learner.assumed(task).teaching == 1:
        return f"bayes knows that problems of {task.name} begin with a lesson, in which other queries are impossible"
    return learner.refusal(task, n)


def algorithms(task: Task, n: int, names: Sequence[str] = (), searched: bool = True) -> list[Algorithm]:
    """The candidates of these names, by default all that apply to a task at this n; to queries that are not `searched`
    but a problem's own next points, more may apply.

    Where inputs tell about the function, the Bayes that knows how they are drawn is one of them: what training on such
    problems should lead to. `kernel-vote` without options is a family. Constants need not be named: every subject is
    compared with the best one.
    Raises RequestError for an unknown name, or one that does not apply.
    """
    found = []
    knows_inputs = ("bayes",) if inputs_are_informative(task) else ()  # elsewhere it equals bayes-labels
    for text in names or (*DEFAULT, *knows_inputs, KERNEL, *_of_other_classes(task, n)):
        variants = KERNELS if text == KERNEL else (text,)
        learners = tuple(learner_of(parse_specs([variant])[0]) for variant in variants)
        refusal = refusal_of_choice(learners[0], task, n) if searched else learners[0].refusal(task, n)
        if refusal and names:
            raise RequestError(refusal)
        if not refusal and (names or text != "gaussian-elimination" or learners[0].is_default_for(task)):
            found.append(Algorithm(text, learners, variants))
    return found


def _of_other_classes(task: Task, n: int) -> list[str]:
    others = [load_task(Spec(name)) for name in ASSUMED if name != task.function_class]
    few = [other for other in others if _functions(other, n) <= _MOST_FUNCTIONS]
    return [f"bayes-labels:task={other.name}" for other in few]


def _functions(task: Task, n: int) -> float:
    """The number of functions of a task's class; infinite where n is too small for the class."""
    try:
        return function_class_of(task, n).count(n)
    except RequestError:
        return math.inf


def probability_of(answers: Answers) -> Floats:
    """P(y = 1); 0 or 1 of learners that give labels only."""
    return np.where(np.isnan(answers.probability), answers.prediction, answers.probability)


def probed(
    problems: Problems,
    sizes: Sequence[int],
    queries: int,
    candidates: Sequence[Algorithm],
    seed: int = 0,
    search: bool = True,
) -> Design:
    """Queries behind the first m points of each problem, for every size m, and the candidates' answers to them.

    The queries are searched for those that tell the candidates apart; without `search` they are random unseen inputs.
    """
    contexts = [problems.prefix(m) for m in sizes]
    inputs, unseen = zip(*(searched(each.xs, problems.indices, seed) for each in contexts), strict=True)
    queries = min(queries, inputs[0].shape[1])
    if search:
        asked = [algorithm_at(algorithm.represented(), contexts, inputs) for algorithm in candidates]
        probability = np.concatenate([candidate.probability for candidate in asked])  # (K, M, C, X)
        chosen = choose(probability, np.stack(unseen), queries, seed)
    else:
        drawn = np.random.default_rng(seed).random((len(sizes), *unseen[0].shape)) - np.stack(unseen)
        chosen = np.argsort(drawn, axis=-1)[..., :queries]
    probes = np.take_along_axis(np.stack(inputs), chosen[..., None], axis=2)  # (M, C, Q, n)
    asked = [algorithm_at(algorithm, contexts, probes) for algorithm in candidates]
    return Design(tuple(sizes), [each.xs for each in contexts], [each.shown for each in contexts], probes, tuple(asked))


def algorithm_at(algorithm: Algorithm, contexts: Sequence[Problems], queries: Sequence[Bits] | Bits) -> Candidate:
    """A candidate's answers to the queries (C, Q, n) behind the contexts of every size."""
    each = [algorithm.answers(context, asked) for context, asked in zip(contexts, queries, strict=True)]
    return Candidate(algorithm.name, np.stack(each, axis=1), algorithm.variants)
