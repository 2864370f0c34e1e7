"""Which algorithm gives these answers? The whole analysis of one subject, and its verdict."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification import verdict as thresholds
from llm_icl.analysis.identification.alone import Alone, constant, each_alone, is_constant, log_scores, query_only
from llm_icl.analysis.identification.comparing import holm, p_values_of, pulls
from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.flexible import on_top
from llm_icl.analysis.identification.mixture_search import best_mixture
from llm_icl.analysis.identification.mixtures import OVER, Mixture, fit, given_classes, neighbours
from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.analysis.identification.resolution import times_as_many
from llm_icl.analysis.identification.result import Compared, Identification, Mixed
from llm_icl.analysis.identification.separation import POWER as SURE
from llm_icl.analysis.identification.separation import needed, power, told_apart
from llm_icl.analysis.identification.shares import explained, own_scores, regret
from llm_icl.analysis.identification.structure import Left, Structure
from llm_icl.analysis.identification.verdict import LEVEL, REJECTED, WHOLE
from llm_icl.analysis.identification.weights import intervals
from llm_icl.analysis.intervals import NOTHING, Estimate, mean

Floats = NDArray[np.float64]

# So many candidates are tested for what they leave, those that explain most.
MOST_TESTED = 6
# Draws where questions were asked again: with five kinds of structure the smallest p-value is 5 in so many.
REPEATED = 999
# A family's variant says the same as its neighbours at a query if their P(answer 1) are so near to each other.
_NEAR = 0.1


@dataclass(frozen=True)
class _Decision:
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


def identify(
    design: Design,
    answers: Floats,
    *,
    probabilities: bool,
    repeats: Repeats | None = None,
    ceiling: Floats | None = None,
    structure: Structure | None = None,
    flexible: bool = True,
    seed: int = 0,
) -> Identification:
    """Identify the algorithm behind answers (M, C, Q), NaN where there is none.

    Answers are P(answer 1), or labels, of which repeats are all that were given where questions were asked again, and
    ceiling (M, C, Q) is exact Bayes' P(y = 1), where known. structure is `Structure(design)`, which can be shared by
    many subjects. flexible says whether to fit the flexible model too, which no verdict depends on: a quarter of the
    time. Problems without any answer take no part.
    """
    answered = (~np.isnan(answers)).sum(axis=(0, 2)) > 0  # (C,)
    if answered.any() and not answered.all():
        design, structure, answers = design.of(answered), None, answers[:, answered]
        ceiling = None if ceiling is None else ceiling[:, answered]
        repeats = None if repeats is None else repeats.of(answered)
    subject = _Subject(design, answers, probabilities, repeats, structure or Structure(design), seed)
    return subject.identify(ceiling, flexible)


class _Subject:
    def __init__(
        self,
        design: Design,
        answers: Floats,
        probabilities: bool,
        repeats: Repeats | None,
        structure: Structure,
        seed: int,
    ) -> None:
        self.design, self.answers, self.probabilities = design, answers, probabilities
        self.repeats, self.structure, self.seed = repeats, structure, seed
        agreement = None if repeats is None else repeats.agreement
        self.own_known = probabilities or agreement is not None
        self.own = own_scores(answers, probabilities, agreement)
        self.alone: Alone = each_alone(design, answers)
        self.base, self.base_scores = constant(design, answers)
        if is_constant(answers):  # regular beyond the best constant only in what that is smoothed by
            self.own = self.base_scores
        self.order = np.argsort(-self.alone.held_out.sum(axis=1), kind="stable")
        self.lead = int(self.order[0])
        self.gained = (self.alone.held_out - self.base_scores).sum(axis=1)  # (K,): nats above the constant
        self.span = float((self.own - self.base_scores).sum())
        self.share = self.gained / self.span if self.span > 1e-9 else np.zeros(len(self.gained))
        # As if labels had no noise: how well they repeat is too roughly known to say that nothing is left.
        again = self.own_known and not probabilities and not is_constant(answers)
        self.whole_span = -float(self.base_scores.sum()) if again else self.span
        self.whole = self.gained / self.whole_span if self.whole_span > 1e-9 else np.zeros(len(self.gained))
        self.tests: dict[int, Left] = {}
        self.query_only: Left | None = None
        self.mixtures: list[tuple[Mixture, Floats, Left]] = []
        self.p_values = p_values_of(self.pulls_towards(self.lead))
        self.p_values[self.lead] = 1.0
        self.corrected = holm(self.p_values)

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.answers)

    @property
    def answered(self) -> int:
        return max(int(self.known.sum()), 1)

    def left(self, model: Floats, gained: float, neighbours: Floats | None = None) -> Left:
        """What a model leaves whose P(answer 1) is drawn anew at every query."""
        repeats = None
        if self.repeats is not None:
            drawn = np.broadcast_to(model, (REPEATED, *model.shape))
            repeats = self.repeats.come_back(self.answers, model, drawn, _sure(model, neighbours), self.random())
        return self.structure.left(
            self.answers, model, self.probabilities, gained, self.seed, neighbours=neighbours, repeats=repeats
        )

    def left_by_classes(self, mixture: Mixture, gained: float, neighbours: Floats | None) -> Left:
        """What a mixture over contexts or problems leaves."""
        repeats, random = None, self.random()
        if self.repeats is not None:
            told, drawn = given_classes(self.answers, mixture, REPEATED, random)
            repeats = self.repeats.come_back(self.answers, told, drawn, _sure(mixture.model, neighbours), random)
        return self.structure.left(
            self.answers, mixture.model, self.probabilities, gained, self.seed, False, neighbours, repeats
        )

    def random(self) -> np.random.Generator:
        """Of simulated repetitions; the structure has draws of its own."""
        return np.random.default_rng([self.seed, 1])

    def certain(self, model: Floats) -> Floats:
        """The log scores (C,) of a subject whose P(answer 1) is a model's, by itself."""
        return own_scores(np.where(self.known, model, np.nan), True, None)

    def own_given(self, certain: Floats) -> Floats:
        """The subject's own scores (C,). One mean agreement for all questions is that of the noisiest subject that
        agrees so often: labels that were asked again are at least as regular as a model that describes them, by itself.
        """
        again = self.own_known and not self.probabilities
        return certain if again and certain.sum() > self.own.sum() else self.own

    def left_alone(self, k: int) -> Left:
        """What a candidate alone leaves."""
        return self.left(self.alone.model[k], float(self.gained[k]), self.alone.neighbours(self.design, k))

    def identify(self, ceiling: Floats | None, flexible: bool) -> Identification:
        self.independent = self.left(self.base, 0.0)
        decision = self.if_noticed(self.decide())
        certain = self.certain(decision.model)
        self.own = self.own_given(certain)
        self.span = float((self.own - self.base_scores).sum())
        share = explained(decision.held_out, self.base_scores, self.own, self.seed)
        expected = (certain - self.base_scores).sum() / self.span if self.span > 1e-9 else np.nan
        lost, of_model = np.nan, np.nan
        if ceiling is not None:
            lost, of_model = regret(self.answers, ceiling, decision.model, self.probabilities)
        return Identification(
            verdict=decision.verdict,
            names=decision.names,
            sizes=self.design.sizes,
            problems=self.design.shape[1],
            candidates=tuple(self.compared(int(k)) for k in self.order),
            leader=self.design.names[self.lead],
            constant=float(self.base_scores.sum() / self.answered),
            own=float(self.own.sum() / self.answered),
            own_known=self.own_known,
            score=float(decision.held_out.sum() / self.answered),
            share=share,
            expected_share=float(expected),
            flexible=self.flexible(decision.model) if flexible else NOTHING,
            left=decision.left,
            independent=self.independent,
            query_only=self.query_only,
            mixtures=tuple(self.mixed(*each) for each in self.mixtures),
            power=decision.power,
            needed=decision.needed,
            noticed=decision.noticed,
            regret=lost,
            regret_explained=of_model,
        )

    @property
    def counts(self) -> Floats:
        """The answers on each problem, (C,)."""
        return self.known.sum(axis=(0, 2)).astype(float)

    def flexible(self, model: Floats) -> Estimate:
        """What the flexible model adds to a model's score, per answer."""
        return mean(on_top(self.structure, self.answers, model) - log_scores(self.answers, model), self.counts)

    def decide(self) -> _Decision:
        if self.independent.p_value >= LEVEL:
            return self.no_dependence()
        adequate = self.adequate()
        only, only_scores = query_only(self.design, self.answers)
        if not adequate or only_scores.sum() > self.alone.held_out[adequate].sum(axis=1).max():
            self.query_only = self.left(only, float((only_scores - self.base_scores).sum()))
            if self.query_only.p_value >= REJECTED:
                return _Decision("independent", ("the query",), only, only_scores, self.query_only)
        if not adequate:
            return self.several()
        decision = self.one_of(adequate)
        if decision.verdict != "single" or not (strays := self.unfollowed(adequate[0])):
            return decision
        name = " or ".join(decision.names)
        names = tuple(thresholds.NO_ALGORITHM if m in strays else name for m in range(len(self.answers)))
        return replace(decision, verdict="changes", names=names)

    def no_dependence(self) -> _Decision:
        """Nothing depends on anything, if that would have been found."""
        truths = 0.5 * self.alone_probability() + 0.5 * self.base
        strength = np.array([told_apart(truth, self.base[None], self.known)[1][0] for truth in truths])
        level = LEVEL / max(self.structure.linear[0].shape[1], 1)
        found = np.array([power(float(s), level) for s in strength])
        typical = float(np.median(found))
        wanted = float(np.median(needed(strength, self.design.shape[1], level)))
        verdict = "independent" if typical >= thresholds.POWER else "too few"
        names = () if verdict == "too few" else self.constant_name()
        return _Decision(verdict, names, self.base, self.base_scores, self.independent, power=typical, needed=wanted)

    def if_noticed(self, decision: _Decision) -> _Decision:
        """A verdict that says what is run, if these answers would show what else it might be; else too few problems:
        few answers leave nothing that is significant, whatever they follow.
        """
        others = [k for k in range(len(self.design.candidates)) if k not in decision.run]
        if not decision.run or not others:
            return decision
        level = LEVEL / max(len(self.design.candidates) - 1, 1)
        p = self.alone_probability()[others]
        powers = (thresholds.POWER, SURE)
        times = times_as_many(decision.model, p, self.answers, self.probabilities, level, powers, decision.near)
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

    def alone_probability(self) -> Floats:
        pairs = zip(self.design.candidates, self.alone.variant, strict=True)
        return np.stack([candidate.probability[v] for candidate, v in pairs])

    def pulls_towards(self, k: int) -> Floats:
        # The other's variant and link come from other folds: a family that is fitted here would attract by chance.
        return pulls(self.answers, self.alone.model, self.alone.crossed[k])

    def adequate(self) -> list[int]:
        """The candidates that leave nothing, best first, among those that the leading one does not beat.

        A family is left out where a candidate without parameters is among them.
        """
        beaten = (self.corrected < LEVEL) & (self.whole < WHOLE)
        found = []
        for k in [int(k) for k in self.order if not beaten[k]][:MOST_TESTED]:
            if self.whole[k] < WHOLE:
                self.tests[k] = self.left_alone(k)
                if self.tests[k].p_value < REJECTED:
                    continue
            if not (self.own_known and self.share[k] < thresholds.LEAST_SHARE):
                found.append(k)
        fixed = [k for k in found if not self.design.candidates[k].is_family]
        return fixed or found

    def unfollowed(self, k: int) -> list[int]:
        """The sizes at which the answers do not follow a candidate that they follow at others: a link may be flat at
        one of them, as if they did.

        Of labels: there is no pull from the best constant towards the candidate, read as at a size where there is,
        though it would have been found. Of probabilities: almost nothing of what is regular is explained.
        """
        sizes = range(len(self.answers))
        probability = self.design.candidates[k].probability[self.alone.variant[k]]
        links = self.alone.links.of(np.array([k]))
        if self.probabilities:
            gained, span = self.by_size(self.alone.crossed[k]), self.by_size(self.answers)
            shares = np.divide(gained, span, out=np.zeros(len(sizes)), where=span > 1e-6 * self.known.sum(axis=(1, 2)))
            if shares.max() < thresholds.LEAST_SHARE:
                return []
            best = int(shares.argmax())
            read = links.everywhere(best).apply(probability[None])[0]  # (M, C, Q)
            spread = [read[m][self.known[m]].var() for m in sizes]  # a candidate that says nothing is followed
            return [m for m in sizes if shares[m] < 1 - WHOLE and spread[m] >= thresholds.LEAST_SHARE * spread[best]]
        pull, expected = np.zeros((len(sizes),) * 2), np.zeros((len(sizes),) * 2)  # at size m, read as at another
        for other in sizes:
            read = links.everywhere(other).apply(probability[None])[0]  # (M, C, Q)
            for m in sizes:
                there = np.where(np.arange(len(sizes))[:, None, None] == m, self.answers, np.nan)
                pull[m, other] = pulls(there, self.base[None], read)[0]
                expected[m, other] = told_apart(read, self.base[None], ~np.isnan(there))[1][0]
        followed = [m for m in sizes if pull[m, m] > thresholds.PULLED]
        weak = pull < np.minimum(thresholds.PULLED, expected - thresholds.PULLED)
        return [m for m in sizes if followed and weak[m, followed].all()]

    def by_size(self, model: Floats) -> Floats:
        """How much better a model's log score is than the best constant's, by size (M,)."""
        p = np.clip(model, 1e-12, 1 - 1e-12)
        y, known = np.nan_to_num(self.answers), self.known
        better = y * np.log(p / self.base) + (1 - y) * np.log((1 - p) / (1 - self.base))
        return np.where(known, np.nan_to_num(better), 0.0).sum(axis=(1, 2))

    def one_of(self, adequate: list[int]) -> _Decision:
        """One algorithm; or several that these queries cannot tell apart; or too few problems to tell."""
        best, others = adequate[0], adequate[1:]
        names = tuple(self.design.names[k] for k in adequate)
        left = self.tests.get(best) or self.left_alone(best)
        model, scores = self.alone.model[best], self.alone.held_out[best]
        near = self.alone.neighbours(self.design, best)
        if not others:
            shown = explained(scores, self.base_scores, self.own, self.seed).low > 0
            verdict = "single" if shown else "too few"
            return _Decision(verdict, names, model, scores, left, (best,), near=near)
        lost, strength = told_apart(model, self.alone.model[others], self.known)
        regular = told_apart(model, self.base[None], self.known)[0][0]
        level = LEVEL / max(len(self.design.candidates) - 1, 1)
        chance = min(power(float(s), level) for s in strength)
        wanted = float(needed(strength, self.design.shape[1], level).max())
        same = (self.whole[adequate] >= WHOLE).all() or (lost <= (1 - WHOLE) * regular).all()
        verdict = "single" if same else "too few"
        return _Decision(verdict, names, model, scores, left, tuple(adequate), chance, wanted, near=near)

    def several(self) -> _Decision:
        """A mixture; or nothing that is known."""
        from scipy.special import chdtri

        matters = (1 - WHOLE) * self.span if self.probabilities else 0.0

        def enough(others: int) -> float:
            return max(float(chdtri(len(self.answers), LEVEL / others) / 2), matters)

        found = [
            best_mixture(self.design, self.answers, self.alone.scores, over, self.probabilities, enough)
            for over in OVER
            if over != "contexts" or self.design.share_contexts
        ]
        for mixture in sorted(found, key=lambda each: -each.score):
            held_out = self.crossed(mixture)
            gained = float((held_out - self.base_scores).sum())
            others = neighbours(self.design, self.answers, mixture)
            anew = mixture.form.over == "queries"
            left = self.left(mixture.model, gained, others) if anew else self.left_by_classes(mixture, gained, others)
            self.mixtures.append((mixture, held_out, left))
            if gained < WHOLE * self.whole_span and left.p_value < REJECTED:
                continue
            verdict, names = self.of_mixture(mixture)
            if names:
                run = tuple(component.candidate for component in mixture.components)
                return _Decision(verdict, names, mixture.model, held_out, left, run, near=others)
        best, scores, left = max(self.mixtures, key=lambda each: each[1].sum())
        span = float((self.own_given(self.certain(best.model)) - self.base_scores).sum())
        share = float((scores - self.base_scores).sum()) / span if span > 0 else 0.0
        names = (self.design.names[self.lead],)
        return _Decision("none" if share < thresholds.HALF else "nearest", names, best.model, scores, left)

    def crossed(self, mixture: Mixture) -> Floats:
        """The held-out scores (C,) of a mixture, whose weights come from the other folds."""
        held_out = np.zeros(self.design.shape[1])
        for fold in range(self.design.folds.max() + 1):
            test = self.design.folds == fold
            fitted = fit(self.answers, mixture.components, mixture.form, train=~test)
            held_out[test] = fitted.scores[test]
        return held_out

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

    def compared(self, k: int) -> Compared:
        candidate = self.design.candidates[k]
        own = self.alone.held_out[k]
        return Compared(
            candidate.name,
            candidate.variants[self.alone.variant[k]] if candidate.variants else candidate.name,
            float(own.sum() / self.answered),
            NOTHING if k == self.lead else mean(self.alone.held_out[self.lead] - own, self.counts),
            explained(own, self.base_scores, self.own, self.seed),
            float(self.corrected[k]),
            self.tests.get(k),
            tuple((own - self.base_scores).round(4).tolist()),
        )

    def mixed(self, mixture: Mixture, held_out: Floats, left: Left) -> Mixed:
        names = tuple(self.design.names[component.candidate] for component in mixture.components)
        by_size, weights = intervals(mixture)
        share = explained(held_out, self.base_scores, self.own, self.seed)
        return Mixed(mixture.form.over, names, by_size, weights, share, left)


def _sure(model: Floats, neighbours: Floats | None) -> NDArray[np.bool_]:
    """Where a model's P(answer 1) (M, C, Q) does not depend on which of a family's variants it is, (M, C, Q): those are
    a grid, and a rule between two of them deviates from both wherever it is asked again.
    """
    if neighbours is None:
        return np.ones(model.shape, dtype=bool)
    return np.abs(neighbours - model).max(axis=0) < _NEAR
