"""Differences over a few replicates, such as training runs or draws of demonstrations, by Student's intervals."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

from llm_icl.analysis.comparisons import MARGIN, Judgement, Outcome, judge
from llm_icl.analysis.intervals import FEWEST_SEEDS, LEVEL, Estimate

Key = TypeVar("Key")


@dataclass(frozen=True)
class Effect:
    """A difference over so many replicates, which stand in the place of problems; `at` gives it with an interval of any
    level. `drawn` replicates are drawn for each of these.
    """

    at: Callable[[float], Estimate]
    replicates: int
    margin: float = MARGIN
    drawn: float = 1.0
    resampled: ClassVar[bool] = False

    def estimate(self, level: float = LEVEL) -> Estimate:
        return self.at(level)

    @property
    def problems(self) -> int:
        return self.replicates if self.estimate().known else 0

    @property
    def differing(self) -> int:
        return 0 if self.estimate().identical else self.replicates

    @property
    def error(self) -> float:
        """That of the replicates, from the longer half of the interval."""
        from scipy.special import stdtrit

        value, low, high = self.estimate()
        return float(max(value - low, high - value) / stdtrit(self.replicates - 1, (1 + LEVEL) / 2))

    @property
    def uncertainty(self) -> float:
        """That of normal differences."""
        return 2 / (self.replicates - 1)


def shown(found: Mapping[Key, Effect]) -> dict[Key, Judgement]:
    """What all comparisons of a report show. Those without an interval claim nothing, and do not count."""
    tested = judge({key: effect for key, effect in found.items() if _has_interval(effect)})
    return {key: tested.get(key) or _untested(effect) for key, effect in found.items()}


def comparisons(told: Mapping[Key, Judgement]) -> int:
    """The number that the claims are corrected for."""
    return sum(one.differing > 0 for one in told.values())


def correction(told: Mapping[Key, Judgement]) -> str:
    """In words; empty where nothing is corrected."""
    count = comparisons(told)
    if not count:
        return ""
    number = f"the {count} comparisons" if count > 1 else "the one comparison"
    return (
        f"Each claim of a difference is corrected for {number} of such runs in this report (Holm): with a probability "
        "of 95 % none of them is false."
    )


def _has_interval(effect: Effect) -> bool:
    return effect.replicates >= FEWEST_SEEDS and bool(np.isfinite(effect.estimate().low))


def _untested(effect: Effect) -> Judgement:
    estimate = effect.estimate()
    outcome: Outcome = "no data"
    if estimate.known:
        outcome = "identical" if estimate.identical and effect.replicates >= FEWEST_SEEDS else "too few"
    return Judgement(outcome, estimate, effect.replicates, 0)
