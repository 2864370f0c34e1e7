"""Which algorithm gives the answers that were asked anyway? A verdict as in `llm_icl.analysis.identification`, in
seconds.

It stands on fewer queries than a search for those that tell candidates apart would give, and on random ones. So it says
what they hardly tell apart.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.identify import identify
from llm_icl.analysis.identification.result import Identification
from llm_icl.analysis.identification.separation import Separation, separation
from llm_icl.analysis.identification.structure import Structure
from llm_icl.analysis.identification.verdict import HALF, LEVEL, REJECTED
from llm_icl.experiments.observed import Observed, observed
from llm_icl.problems import Problems

Floats = NDArray[np.float64]
# A verdict as JSON data.
Record = dict[str, Any]

# With fewer problems nothing is computed.
LEAST_PROBLEMS = 8
# No single algorithm is named where the queries hardly tell it from more than this share of the candidates, or where it
# explains less than half of what is regular: few answers leave nothing that is significant, whatever they follow.
MOST_CLOSE = 0.5


class Likelihood:
    """The candidates on the problems of one task and n, which all subjects of a run were asked.

    parts are the problems of several seeds, positions those that were asked; `asked` are P(y = 1) (N, m) by learners
    that were asked too, at all positions of all parts together.
    """

    def __init__(self, parts: Sequence[Problems], positions: Sequence[int], asked: Mapping[str, Floats]) -> None:
        self.problems = sum(map(len, parts))
        enough = self.problems >= LEAST_PROBLEMS
        self.observed: Observed | None = observed(parts, positions, asked) if enough else None
        if self.observed is not None:
            self.design = self.observed.design
            self.structure = Structure(self.design)
            self.separation: Separation = separation(self.design, LEVEL / max(len(self.design.candidates) - 1, 1))

    def verdict(self, answers: Floats, probabilities: bool) -> Record:
        """The verdict on answers (N, m) at all positions: P(answer 1) or labels, NaN where there is none."""
        if self.observed is None:
            return _too_few(self.problems)
        taken = self.observed.taken(answers)
        used = ~np.isnan(taken)
        problems = int(used.any(axis=(0, 2)).sum())
        if problems < LEAST_PROBLEMS:
            return _too_few(problems)
        found = identify(self.design, taken, probabilities=probabilities, structure=self.structure, flexible=False)
        close = self._close(found)
        untold = found.verdict in ("single", "too few") and (
            len(close) > MOST_CLOSE * len(self.design.names) or (found.own_known and found.share.value < HALF)
        )
        return {
            "verdict": "too few" if untold else found.verdict,
            "names": [] if untold else list(found.names),
            "problems": problems,
            "answers": int(used.sum()),
            "examples": [[int(at.min()), int(at.max())] for at in (m[m >= 0] for m in self.observed.before)],
            "share": list(map(_number, found.share)),
            "own_known": found.own_known,
            "leader": found.leader,
            "left": found.left.about if found.left.p_value < REJECTED else "",
            "needed": _number(found.needed),
            "close": [] if untold else close,
            "shares": {each.name: _number(each.share.value) for each in found.candidates},
            "left_out": list(self.observed.left_out),
        }

    def _close(self, found: Identification) -> list[str]:
        """The candidates that these queries hardly tell from the named one: not with this many problems."""
        if found.verdict not in ("single", "too few") or not found.names:
            return []
        needed = self.separation.needed[self.design.names.index(found.names[0])]
        pairs = zip(self.design.names, needed, strict=True)
        return [name for name, count in pairs if name not in found.names and count > found.problems]


def _too_few(problems: int) -> Record:
    return {"verdict": "too few", "names": [], "problems": problems, "answers": 0}


def by_position(values: NDArray[Any], positions: Sequence[int], points: int) -> Floats:
    """Values (N, P) at some positions, as (N, points) at all of them; NaN where nothing was asked."""
    found = np.full((len(values), points), np.nan)
    found[:, list(positions)] = values
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
