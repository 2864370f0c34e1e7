"""From what is known of a subject to the verdict on it."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification import verdict as thresholds
from llm_icl.analysis.identification.alone import query_only
from llm_icl.analysis.identification.mixture_search import best_mixture
from llm_icl.analysis.identification.mixtures import OVER, Mixture, neighbours
from llm_icl.analysis.identification.resolution import times_as_many
from llm_icl.analysis.identification.separation import POWER as SURE
from llm_icl.analysis.identification.separation import needed, power, told_apart
from llm_icl.analysis.identification.shares import explained
from llm_icl.analysis.identification.structure import Left
from llm_icl.analysis.identification.subject import Subject
from llm_icl.analysis.identification.unfollowed import unfollowed
from llm_icl.analysis.identification.verdict import LEVEL, REJECTED, WHOLE
from llm_icl.analysis.identification.weights import intervals

Floats = NDArray[np.float64]

# So many candidates are tested for what they leave, those that explain most.
MOST_TESTED = 6


@dataclass(frozen=True)
class Decision:
    """A verdict, its names, its model's P(answer 1) (M, C, Q) and held-out scores (C,), what it leaves, and the
    candidates that the model consists of, if it leaves nothing; `near` is what it would say with other parameters of
    its families (B, M, C, Q).
    """

    verdict: str
    names: tuple[str, ...]
    model: Floats
    held_out: Floats
    left: Left
    run: tuple[int, ...] = ()
    power: float = float("nan")
    needed: float = float("nan")
    noticed: float = float("nan")
    near: Floats | None = None


class Deciding:
    """The decision on one subject, and what was tested on the way: what candidates leave (`tests`), what a rule of the
    query alone leaves, and each mixture with its held-out scores (C,) and what it leaves.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject, self.design, self.answers = subject, subject.design, subject.answers
        self.independent = subject.left(subject.base, 0.0)
        self.tests: dict[int, Left] = {}
        self.query_only: Left | None = None
        self.mixtures: list[tuple[Mixture, Floats, Left]] = []

    def decide(self) -> Decision:
        return self.if_noticed(self.followed())

    def followed(self) -> Decision:
        """What the answers follow, whatever else might have been seen."""
        if self.independent.p_value >= LEVEL:
            return self.no_dependence()
        adequate = self.adequate()
        only, only_scores = query_only(self.design, self.answers)
        if not adequate or only_scores.sum() > self.subject.alone.held_out[adequate].sum(axis=1).max():
            self.query_only = self.subject.left(only, float((only_scores - self.subject.base_scores).sum()))
            if self.query_only.p_value >= REJECTED:
                return Decision("independent", ("the query",), only, only_scores, self.query_only)
        if not adequate:
            return self.several()
        decision = self.one_of(adequate)
        if decision.verdict != "single" or not (strays := unfollowed(self.subject, adequate[0])):
            return decision
        name = " or ".join(decision.names)
        names = tuple(thresholds.NO_ALGORITHM if m in strays else name for m in range(len(self.answers)))
        return replace(decision, verdict="changes", names=names)

    def no_dependence(self) -> Decision:
        """Nothing depends on anything, if that would have been found."""
        base, known = self.subject.base, self.subject.known
        truths = 0.5 * self.subject.alone_probability() + 0.5 * base
        strength = np.array([told_apart(truth, base[None], known)[1][0] for truth in truths])
        level = LEVEL / max(self.subject.structure.linear[0].shape[1], 1)
        found = np.array([power(float(s), level) for s in strength])
        typical = float(np.median(found))
        wanted = float(np.median(needed(strength, self.design.shape[1], level)))
        verdict = "independent" if typical >= thresholds.POWER else "too few"
        names = () if verdict == "too few" else self.constant_name()
        scores = self.subject.base_scores
        return Decision(verdict, names, base, scores, self.independent, power=typical, needed=wanted)

    def if_noticed(self, decision: Decision) -> Decision:
        """A verdict that says what is run, if these answers would show what else it might be; else too few problems:
        few answers leave nothing that is significant, whatever they follow.
        """
        others = [k for k in range(len(self.design.candidates)) if k not in decision.run]
        if not decision.run or not others:
            return decision
        level = LEVEL / max(len(self.design.candidates) - 1, 1)
        p = self.subject.alone_probability()[others]
        powers = (thresholds.POWER, SURE)
        times = times_as_many(decision.model, p, self.answers, self.subject.probabilities, level, powers, decision.near)
        found, surely = times[:, np.isfinite(times[0])]  # without those that say the same here
        if not len(found):
            return decision
        noticed = float((found <= 1).mean())
        if decision.verdict != "too few" and noticed >= thresholds.HALF:
            return replace(decision, noticed=noticed)
        names = decision.names if decision.verdict in ("single", "too few") else ()
        wanted = self.design.shape[1] * float(np.sort(surely)[(len(surely) - 1) // 2])
        needed = float(np.fmax(decision.needed, wanted))
        return replace(decision, verdict="too few", names=names, needed=needed, noticed=noticed)

    def constant_name(self) -> tuple[str, ...]:
        ones = np.nanmean(self.answers)
        return ("always 1",) if ones > WHOLE else ("always 0",) if ones < 1 - WHOLE else ()

    def adequate(self) -> list[int]:
        """The candidates that leave nothing, best first, among those that the leading one does not beat.

        A family is left out where a candidate without parameters is among them.
        """
        beaten = (self.subject.corrected < LEVEL) & (self.subject.whole < WHOLE)
        found = []
        for k in [int(k) for k in self.subject.order if not beaten[k]][:MOST_TESTED]:
            if self.subject.whole[k] < WHOLE:
                self.tests[k] = self.subject.left_alone(k)
                if self.tests[k].p_value < REJECTED:
                    continue
            if not (self.subject.own_known and self.subject.share[k] < thresholds.LEAST_SHARE):
                found.append(k)
        fixed = [k for k in found if not self.design.candidates[k].is_family]
        return fixed or found

    def one_of(self, adequate: list[int]) -> Decision:
        """One algorithm; or several that these queries cannot tell apart; or too few problems to tell."""
        best, others = adequate[0], adequate[1:]
        names = tuple(self.design.names[k] for k in adequate)
        left = self.tests.get(best) or self.subject.left_alone(best)
        model, scores = self.subject.alone.model[best], self.subject.alone.held_out[best]
        near = self.subject.alone.neighbours(self.design, best)
        if not others:
            shown = explained(scores, self.subject.base_scores, self.subject.own, self.subject.seed).low > 0
            verdict = "single" if shown else "too few"
            return Decision(verdict, names, model, scores, left, (best,), near=near)
        lost, strength = told_apart(model, self.subject.alone.model[others], self.subject.known)
        regular = told_apart(model, self.subject.base[None], self.subject.known)[0][0]
        level = LEVEL / max(len(self.design.candidates) - 1, 1)
        chance = min(power(float(s), level) for s in strength)
        wanted = float(needed(strength, self.design.shape[1], level).max())
        same = (self.subject.whole[adequate] >= WHOLE).all() or (lost <= (1 - WHOLE) * regular).all()
        verdict = "single" if same else "too few"
        return Decision(verdict, names, model, scores, left, tuple(adequate), chance, wanted, near=near)

    def several(self) -> Decision:
        """A mixture; or nothing that is known."""
        from scipy.special import chdtri

        matters = (1 - WHOLE) * self.subject.span if self.subject.probabilities else 0.0

        def enough(others: int) -> float:
            return max(float(chdtri(len(self.answers), LEVEL / others) / 2), matters)

        found = [
            best_mixture(self.design, self.answers, self.subject.alone.scores, over, self.subject.probabilities, enough)
            for over in OVER
            if over != "contexts" or self.design.share_contexts
        ]
        for mixture in sorted(found, key=lambda each: -each.score):
            held_out = self.subject.crossed(mixture)
            gained = float((held_out - self.subject.base_scores).sum())
            others = neighbours(self.design, self.answers, mixture)
            left = self.subject.left_mixed(mixture, gained, others)
            self.mixtures.append((mixture, held_out, left))
            if gained < WHOLE * self.subject.whole_span and left.p_value < REJECTED:
                continue
            verdict, names = self.of_mixture(mixture)
            if names:
                run = tuple(component.candidate for component in mixture.components)
                return Decision(verdict, names, mixture.model, held_out, left, run, near=others)
        best, scores, left = max(self.mixtures, key=lambda each: each[1].sum())
        span = float((self.subject.own_given(self.subject.certain(best.model)) - self.subject.base_scores).sum())
        share = float((scores - self.subject.base_scores).sum()) / span if span > 0 else 0.0
        names = (self.design.names[self.subject.lead],)
        return Decision("none" if share < thresholds.HALF else "nearest", names, best.model, scores, left)

    def of_mixture(self, mixture: Mixture) -> tuple[str, tuple[str, ...]]:
        """The verdict on a mixture that leaves nothing, and its components; none if it is only one of them."""
        weights = mixture.weights[:, :-2]  # (M, D)
        by_size, averages = intervals(mixture)
        whole = weights.sum(axis=1, keepdims=True)
        lowest = np.array([[weight.low for weight in at[: weights.shape[1]]] for at in by_size])  # (M, D)
        nothing = (whole <= thresholds.LITTLE) & (lowest < thresholds.LEAST_WEIGHT).all(axis=1, keepdims=True)  # (M, 1)
        portions = np.where(nothing, 0.0, weights / np.maximum(whole, 1e-12))
        portions = np.concatenate([portions, nothing], axis=1)
        leading = portions.argmax(axis=1)
        names = [self.design.names[component.candidate] for component in mixture.components]
        if (portions.max(axis=1) >= thresholds.DOMINANT).all() and len(set(leading)) > 1:
            return "changes", tuple([*names, thresholds.NO_ALGORITHM][i] for i in leading)
        named = tuple(
            name for name, weight in zip(names, averages, strict=False) if weight.low >= thresholds.LEAST_WEIGHT
        )
        if len(named) < 2:
            return mixture.form.over, ()
        if nothing.any():
            mixed = f"a mixture of {' and '.join(named)}"
            return "changes", tuple(thresholds.NO_ALGORITHM if none else mixed for none in nothing[:, 0])
        return mixture.form.over, named
