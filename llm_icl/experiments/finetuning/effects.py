"""The comparisons that a report makes, and what each of them shows, corrected for their number.

Each is a difference that is 0 if finetuning is no more similar to in-context learning than what it is compared with.
The units are draws of demonstrations, in the place of problems.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np

from llm_icl.analysis.comparisons import Judgement, Outcome, judge
from llm_icl.analysis.intervals import FEWEST_SEEDS, LEVEL, Estimate
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import CONTROLLED, SIMILARITIES
from llm_icl.experiments.finetuning.methods import CONTROLS, PUBLISHED_METHOD, RANDOM

Key = TypeVar("Key")

RECOVERY = "Rec2FTP"
# Smaller differences than these are none.
MARGIN, MARGIN_OF_RECOVERY = 0.02, 0.05

SYMBOLS: Mapping[Outcome, str] = {
    "above": "↑", "below": "↓", "equivalent": "≈", "identical": "=", "too few": "?", "no data": "",
}  # fmt: skip


@dataclass(frozen=True)
class Effect:
    """A measure of finetuning minus that of what it is compared with. `at` gives it with an interval of any level, over
    so many draws of demonstrations.
    """

    at: Callable[[float], Estimate]
    draws: int
    margin: float = MARGIN
    resampled: ClassVar[bool] = False

    def estimate(self, level: float = LEVEL) -> Estimate:
        return self.at(level)

    @property
    def problems(self) -> int:
        return self.draws if self.estimate().known else 0

    @property
    def differing(self) -> int:
        return 0 if self.estimate().identical else self.draws

    @property
    def error(self) -> float:
        """That of the draws, from the longer half of the interval."""
        from scipy.special import stdtrit

        value, low, high = self.estimate()
        return float(max(value - low, high - value) / stdtrit(self.draws - 1, (1 + LEVEL) / 2))


def effects(compared: Compared) -> dict[tuple[str, str], Effect]:
    """On one set of texts, by measure and what it is compared with: random updates, and for some the controls."""
    count, methods = scores.seeds(compared), scores.methods(compared)
    found = {(RECOVERY, RANDOM): Effect(scores.recovery_above_null(compared), count, MARGIN_OF_RECOVERY)}
    own = {measure: scores.excess(compared, PUBLISHED_METHOD, measure) for measure in SIMILARITIES}
    for measure, values in own.items():
        found[measure.name, RANDOM] = Effect(partial(scores.difference, values), count)
    for measure in CONTROLLED:
        for control in CONTROLS:
            if control in methods:
                less = own[measure] - scores.excess(compared, control, measure)
                found[measure.name, control] = Effect(partial(scores.difference, less), count)
    return found


def shown(found: Mapping[Key, Effect]) -> dict[Key, Judgement]:
    """What all comparisons of a report show. Those without an interval claim nothing, and do not count."""
    tested = judge({key: effect for key, effect in found.items() if _has_interval(effect)})
    return {key: tested.get(key) or _untested(effect) for key, effect in found.items()}


def comparisons(told: Mapping[Key, Judgement]) -> int:
    """The number that the claims are corrected for."""
    return sum(one.differing > 0 for one in told.values())


def _has_interval(effect: Effect) -> bool:
    return effect.draws >= FEWEST_SEEDS and bool(np.isfinite(effect.estimate().low))


def _untested(effect: Effect) -> Judgement:
    estimate = effect.estimate()
    outcome: Outcome = "no data"
    if estimate.known:
        outcome = "identical" if estimate.identical and effect.draws >= FEWEST_SEEDS else "too few"
    return Judgement(outcome, estimate, effect.draws, 0)
