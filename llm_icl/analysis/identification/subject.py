"""What is known of a subject before a verdict: how well each candidate describes its answers, and what that leaves."""

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.identification.alone import Alone, constant, each_alone, is_constant
from llm_icl.analysis.identification.comparing import holm, p_values_of, pulls
from llm_icl.analysis.identification.data import Design
from llm_icl.analysis.identification.mixtures import Mixture, fit, given_classes
from llm_icl.analysis.identification.repeats import Repeats
from llm_icl.analysis.identification.shares import own_scores
from llm_icl.analysis.identification.structure import Left, Structure

Floats = NDArray[np.float64]

# Draws where questions were asked again: with five kinds of structure the smallest p-value is 5 in so many.
REPEATED = 999
# A family's variant says the same as its neighbours at a query if their P(answer 1) are so near to each other.
_NEAR = 0.1


class Subject:
    """Answers (M, C, Q) to a design, NaN where there is none, and each candidate alone beside them.

    `base` (M, C, Q) is the best constant's P(answer 1), `base_scores` (C,) its held-out log scores, and `own` (C,) what
    the subject's own noise allows. `gained` and `share` (K,) are the candidates' scores above the best constant, in
    nats and of what is regular; `whole` as if labels had no noise; `order` has the best candidate first, `lead`.
    """

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
        self.p_values = p_values_of(self.pulls_towards(self.lead))
        self.p_values[self.lead] = 1.0
        self.corrected = holm(self.p_values)

    @property
    def known(self) -> NDArray[np.bool_]:
        return ~np.isnan(self.answers)

    @property
    def answered(self) -> int:
        return max(int(self.known.sum()), 1)

    @property
    def counts(self) -> Floats:
        """The answers on each problem, (C,)."""
        return self.known.sum(axis=(0, 2)).astype(float)

    def left(self, model: Floats, gained: float, neighbours: Floats | None = None) -> Left:
        """What a model leaves whose P(answer 1) is drawn anew at every query."""
        repeats = None
        if self.repeats is not None:
            drawn = np.broadcast_to(model, (REPEATED, *model.shape))
            repeats = self.repeats.come_back(self.answers, model, drawn, _sure(model, neighbours), self.random())
        return self.structure.left(
            self.answers, model, self.probabilities, gained, self.seed, neighbours=neighbours, repeats=repeats
        )

    def left_alone(self, k: int) -> Left:
        """What a candidate alone leaves."""
        return self.left(self.alone.model[k], float(self.gained[k]), self.alone.neighbours(self.design, k))

    def left_mixed(self, mixture: Mixture, gained: float, neighbours: Floats | None) -> Left:
        """What a mixture leaves; over contexts or problems, the classes that the answers tell of are drawn."""
        if mixture.form.over == "queries":
            return self.left(mixture.model, gained, neighbours)
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

    def alone_probability(self) -> Floats:
        """Each candidate's P(y = 1), (K, M, C, Q), of a family's best variant."""
        pairs = zip(self.design.candidates, self.alone.variant, strict=True)
        return np.stack([candidate.probability[v] for candidate, v in pairs])

    def pulls_towards(self, k: int) -> Floats:
        # The other's variant and link come from other folds: a family that is fitted here would attract by chance.
        return pulls(self.answers, self.alone.model, self.alone.crossed[k])

    def crossed(self, mixture: Mixture) -> Floats:
        """The held-out scores (C,) of a mixture, whose weights come from the other folds."""
        held_out = np.zeros(self.design.shape[1])
        for fold in range(self.design.folds.max() + 1):
            test = self.design.folds == fold
            fitted = fit(self.answers, mixture.components, mixture.form, train=~test)
            held_out[test] = fitted.scores[test]
        return held_out


def _sure(model: Floats, neighbours: Floats | None) -> NDArray[np.bool_]:
    """Where a model's P(answer 1) (M, C, Q) does not depend on which of a family's variants it is, (M, C, Q): those are
    a grid, and a rule between two of them deviates from both wherever it is asked again.
    """
    if neighbours is None:
        return np.ones(model.shape, dtype=bool)
    return np.abs(neighbours - model).max(axis=0) < _NEAR
