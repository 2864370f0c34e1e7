"""The result of an identification: the verdict, and every number behind it."""

import math
from dataclasses import dataclass

from llm_icl.analysis.identification.structure import Left
from llm_icl.analysis.identification.verdict import in_short
from llm_icl.analysis.intervals import Estimate


@dataclass(frozen=True)
class Compared:
    """One candidate alone: the variant that was chosen; the held-out log score per answer, in nats, and how far it is
    behind the leading candidate's, paired by problem; the share of the subject's regularity that it explains; the
    p-value, by Holm's method, of there being no pull from it towards the leading one; what it leaves, where tested; and
    the held-out log score of each problem, in nats above the best constant for each number of examples.
    """

    name: str
    variant: str
    score: float
    behind: Estimate
    share: Estimate
    p_value: float
    left: Left | None
    by_problem: tuple[float, ...]


@dataclass(frozen=True)
class Mixed:
    """A mixture over queries, contexts or problems: the components' names, and two constants; their weights for each
    number of examples and on average; the share that it explains, held out; and what it leaves.
    """

    over: str
    names: tuple[str, ...]
    by_size: list[list[Estimate]]
    weights: list[Estimate]
    share: Estimate
    left: Left


@dataclass(frozen=True)
class Identification:
    """The verdict, a key of KINDS, with the candidates that it names, and all numbers behind it.

    For "changes" the names are those for each number of examples. `score` is the held-out log score per answer of the
    verdict's model, `constant` that of the best constant for each number of examples, and `own` the most that the
    subject's own noise allows, where `own_known`. `share` is the share (score - constant)/(own - constant), and
    `expected_share` what a subject that follows the verdict's model and its noise would show. `flexible` is what a
    flexible model adds to the score, where it was fitted. `needed` is the number of problems that would tell the named
    apart, or show others. `noticed` is the share of the other candidates that would be found if they were run on PART
    of the answers beside what is named.
    """

    verdict: str
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    problems: int
    candidates: tuple[Compared, ...]
    leader: str
    constant: float
    own: float
    own_known: bool
    score: float
    share: Estimate
    expected_share: float
    flexible: Estimate
    left: Left
    independent: Left
    query_only: Left | None
    mixtures: tuple[Mixed, ...]
    power: float
    needed: float
    regret: float
    regret_explained: float
    noticed: float = math.nan  # files of earlier versions do not say

    def __str__(self) -> str:
        return in_short(self.verdict, self.names)
