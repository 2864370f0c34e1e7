"""What reports say of a verdict on an algorithm: a sentence with its numbers, and how firmly it is said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from llm_icl.analysis.identification.verdict import HALF
from llm_icl.analysis.intervals import NOTHING, Estimate
from llm_icl.config.specs import any_of, counted
from llm_icl.reports.document import Badge

# Of more algorithms than this that cannot be told apart, the number of the others is given.
_NAMED = 4


@dataclass(frozen=True)
class Verdict:
    """A verdict, a key of KINDS, on answers to so many problems, with the algorithms that it names.

    `share` is the share of the answers' regularity that it explains, a lower bound unless `own_known`, and `expected`
    that which answers that follow it, with this noise, would show. `needed` is the number of problems that would tell,
    infinite if none would, NaN if it is unknown. `examples` are the numbers of examples at which each algorithm is
    run, in words, where it changes, and `weights` those of a mixture, where they are known. `left` is what the rest of
    the answers depends on, `close` what the answers hardly tell from the verdict;
    `unclear` is what is not known if nothing is named.
    """

    kind: str
    names: tuple[str, ...]
    problems: int
    share: Estimate = NOTHING
    own_known: bool = True
    expected: float = math.nan
    needed: float = math.nan
    examples: tuple[str, ...] = ()
    weights: tuple[Estimate, ...] = ()
    left: str = ""
    close: tuple[str, ...] = ()
    unclear: str = "which algorithm it runs"

    @property
    def badge(self) -> Badge:
        """How firmly it is said: weakly, where others answer alike or are hardly told apart, where it is nearest to one
        and not it, or where the interval of what is explained does not show that it is less than half.
        """
        if self.kind == "too few":
            return "can't tell"
        several = self.kind == "single" and len(self.names) > 1
        perhaps_half = self.kind == "none" and not self.share.high < HALF
        return "weak" if several or perhaps_half or self.close or self.kind == "nearest" else "clear"

    def sentence(self, queries: str = "") -> str:
        """What is said of "it". Its answers may be those to some `queries` only."""
        answers = f"Its answers{f' to {queries}' if queries else ''}"
        if self.kind == "too few":
            return self._too_few(queries or "problems")
        if self.kind == "independent":
            if self.names == ("the query",):
                return f"{answers} depend on the query only, not on the examples."
            return f"{answers} do not depend on the examples{f' ({self.names[0]})' if self.names else ''}."
        if self.kind == "single":
            same = ", which these answers do not tell apart" if len(self.names) > 1 else ""
            return f"{answers} are those of {listed(self.names)}{same}, up to noise ({self._explained()})."
        if self.kind == "changes":
            parts = [f"{name} at {at}" for name, at in zip(self.names, self.examples, strict=True)]
            return f"Its algorithm changes with the number of examples: {', '.join(parts)} ({self._explained()})."
        best = f"explains {self._share()} of what is regular{self._left()}"
        if self.kind == "nearest":
            return f"It is nearest to {listed(self.names)}, but does not run it: the best mixture of algorithms {best}."
        if self.kind == "none":
            return f"It runs none of the algorithms that were compared: the best mixture of them {best}."
        weights = self.weights or (NOTHING,) * len(self.names)
        parts = [
            f"{name} {percent(each)}" if each.known else name for name, each in zip(self.names, weights, strict=True)
        ]
        over = "drawn anew at every query" if self.kind == "queries" else f"over {self.kind}"
        return f"{answers} are a mixture of {' and '.join(parts)}, {over} ({self._explained()})."

    def _too_few(self, asked: str) -> str:
        enough = f"; {self._wanted()}" if not math.isnan(self.needed) else ""
        which = f"it answers like {listed(self.names)}" if self.names else f"it is not clear {self.unclear}"
        return f"Too few {asked} to tell ({counted(self.problems, 'problem')}{enough}): {which}."

    def _wanted(self) -> str:
        if math.isinf(self.needed):
            return "no number of them would do with these queries"
        return f"about {max(math.ceil(self.needed), self.problems + 1):,} would do"

    def _share(self) -> str:
        return f"{'' if self.own_known else 'at least '}{percent(self.share)}"

    def _explained(self) -> str:
        expected = f", {100 * self.expected:.0f} % expected" if math.isfinite(self.expected) else ""
        return f"{self._share()} explained{expected}"

    def _left(self) -> str:
        return f"; what is left depends on {self.left}" if self.left else ""


def percent(share: Estimate) -> str:
    """A share with its interval, if it has one, as far as that can be read."""
    if not share.known:
        return "an unknown share"
    low, high = max(share.low, -9.99), min(share.high, 9.99)
    interval = f" [{_below_all(low)}, {_below_all(high)}]" if math.isfinite(low + high) else ""
    return f"{_below_all(share.value)} %{interval}"


def _below_all(share: float) -> str:
    """In percent; 100 only if it is all."""
    return f"{math.floor(1000 * share) / 10:.1f}" if 0.995 <= share < 1 else f"{100 * share:.0f}"


def listed(names: Sequence[str]) -> str:
    """One of several names; of many, the first and how many others there are."""
    if len(names) > _NAMED:
        names = [*names[: _NAMED - 1], f"{len(names) - _NAMED + 1} others"]
    return any_of(names)
