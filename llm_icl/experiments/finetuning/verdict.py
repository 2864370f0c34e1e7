"""What a comparison shows, in sentences: the gain in context, without which there is nothing to be similar to; the
similarity of finetuning with it; and what qualifies both.
"""

import math
from collections.abc import Mapping, Sequence

from llm_icl.analysis.comparisons import Judgement
from llm_icl.analysis.effects import Effect
from llm_icl.analysis.intervals import FEWEST_SEEDS, Estimate
from llm_icl.config.specs import counted
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.effects import MARGIN, MARGIN_OF_RECOVERY, RECOVERY
from llm_icl.experiments.finetuning.measures import CONTROLLED, ORDER_FINETUNED, ORDER_IN_CONTEXT, Measure
from llm_icl.experiments.finetuning.methods import (
    CONTROLS,
    LAYER_CAUSAL,
    LAYER_CAUSAL_MATCHED,
    ORDER,
    OTHER,
    PUBLISHED_METHOD,
    RANDOM,
    SHUFFLED,
    UNTRAINED,
)

# What the similarity does not require where this control is at least as similar.
NOT_REQUIRED = {
    OTHER: "these examples",
    SHUFFLED: "correct labels",
    UNTRAINED: "a trained model",
}


Effects = Mapping[tuple[str, str], Effect]
Judgements = Mapping[tuple[str, str], Judgement]


def verdict(compared: Compared, effects: Effects, told: Judgements, gain: Judgement) -> list[str]:
    """On the similarity of finetuning with in-context learning, from a comparison's effects and what they, and the gain
    in context, show.
    """
    count = scores.seeds(compared)
    if count < FEWEST_SEEDS:
        sentences = [
            f"{counted(count, 'draw')} of demonstrations: no conclusion about similarity. It takes {FEWEST_SEEDS} at "
            "least (--seed 1,2,3)."
        ]
    else:
        sentences = [_recovery_sentence(compared, effects, told)]
        sentences += [_measure_sentence(compared, measure, effects, told, gain) for measure in CONTROLLED]
    return [sentence for sentence in (*sentences, _order_sentence(compared)) if sentence]


def gain_sentence(compared: Compared, gain: Judgement) -> str:
    """How much demonstrations in context, and finetuning, raise accuracy."""
    alone, read, trained = (scores.accuracy(compared, PUBLISHED_METHOD, setting).value for setting in scores.SETTINGS)
    text = (
        f"Accuracy is {_percent(alone)} without demonstrations, {_percent(read)} in context "
        f"({_points(scores.gain(compared, 'icl'))}) and {_percent(trained)} finetuned "
        f"({_points(scores.gain(compared, 'ft'))})"
    )
    if scores.seeds(compared) < FEWEST_SEEDS or gain.outcome == "above":
        return f"{text}."
    return f"{text}: no in-context gain is shown, so that there is nothing for finetuning to be similar to."


def gains_sentence(gains: Mapping[str, Judgement]) -> str:
    """The gain in context on each set, and where there is none; each is corrected for all gains of the report."""
    listed = ", ".join(f"{name} {100 * gain.shown.value:+.1f}" for name, gain in gains.items())
    shown_on = [name for name, gain in gains.items() if gain.outcome == "above"]
    text = f"a gain in context is shown on {len(shown_on)} of {counted(len(gains), 'set')} ({listed} points)"
    if len(shown_on) == len(gains):
        return f"{text}."
    return f"{text}; where it is not, there is nothing for finetuning to be similar to."


def _recovery_sentence(compared: Compared, effects: Effects, told: Judgements) -> str:
    own, null = (scores.recovery(compared, method) for method in (PUBLISHED_METHOD, RANDOM))
    if not own.known:
        return ""
    text = (
        "Of the queries that zero-shot gets wrong and finetuning gets right, ICL also gets right "
        f"{_percent(own.value)}{_bounds(own, 100, '.1f')}"
    )
    if not null.known:
        return f"{text}; random updates correct no query, so that there is nothing to compare it with."
    key = RECOVERY, RANDOM
    against = _against_random(effects[key].estimate(), told[key], MARGIN_OF_RECOVERY)
    return f"{text}, and {_percent(null.value)} of those that random updates correct: {against}."


def _measure_sentence(compared: Compared, measure: Measure, effects: Effects, told: Judgements, gain: Judgement) -> str:
    own, null = (scores.estimate(compared, method, measure) for method in (PUBLISHED_METHOD, RANDOM))
    above = effects[measure.name, RANDOM].estimate()
    if not above.known:
        return ""
    against = _against_random(above, told[measure.name, RANDOM], MARGIN)
    text = f"{measure.name} is {own.value:.3f}, and {null.value:.3f} of random updates: {against}"
    if told[measure.name, RANDOM].outcome != "above":
        return f"{text}."
    gains = {name: effects[measure.name, name].estimate() for name in CONTROLS if (measure.name, name) in effects}
    shown = {name: told[measure.name, name] for name in gains}
    parts = [text, *(_against_control(CONTROLS[name], above, gains[name], one) for name, one in shown.items())]
    return f"{'; '.join(parts)}: {_conclusion(gain, above, gains, shown)}."


def _against_random(gain: Estimate, shown: Judgement, margin: float) -> str:
    """In words, with the difference."""
    words = {
        "above": "above",
        "below": "below, so that no similarity is shown",
        "equivalent": f"the same within {margin:g}, so that no similarity is shown",
        "identical": "the same, so that no similarity is shown",
    }
    return f"{words.get(shown.outcome, f'too few draws to tell{_resolution(shown, margin)}')} ({_interval(gain)})"


def _resolution(shown: Judgement, margin: float) -> str:
    if not math.isfinite(shown.resolves):
        return ""
    draws = f"about {shown.needed:.0f} draws" if math.isfinite(shown.needed) else "more draws than can be made"
    resolved = f"{shown.resolves:.2g}" if shown.resolves <= 1 else "no difference"
    return f", these resolve {resolved}, and {margin:g} takes {draws}"


def _against_control(control: str, above: Estimate, gain: Estimate, shown: Judgement) -> str:
    if not gain.known:
        return f"{control} has no such measure"
    text = f"(difference {_interval(gain)})"
    if shown.outcome == "too few":
        return f"{control} is not told from it {text}"
    if shown.outcome in ("equivalent", "identical"):
        return f"{control} is as similar, within {MARGIN:g} {text}"
    share = f", with {100 * max(0.0, 1 - gain.value / above.value):.0f} % of this excess"
    return f"{control} is {'less' if shown.outcome == 'above' else 'more'} similar{share} {text}"


def _conclusion(gain: Judgement, above: Estimate, gains: Mapping[str, Estimate], shown: Mapping[str, Judgement]) -> str:
    if gain.outcome != "above":
        return "a similarity of changes inside the model, without a gain in context"
    outcomes = {name: one.outcome for name, one in shown.items() if name in NOT_REQUIRED}
    if not outcomes:
        return "no control was run"
    as_similar = [name for name, outcome in outcomes.items() if outcome in ("below", "equivalent", "identical")]
    if as_similar:
        return f"the similarity does not require {' or '.join(NOT_REQUIRED[name] for name in as_similar)}"
    if any(outcome != "above" for outcome in outcomes.values()):
        return "too few draws to tell it from the controls"
    left = 100 * min(1.0, min(gains[name].value for name in outcomes) / above.value)
    return (
        f"{left:.0f} % of this excess remains above every control, which supports that ICL and finetuning learn the "
        "same from these examples"
    )


def _order_sentence(compared: Compared) -> str:
    """How much the order of the demonstrations matters to both (Shen et al. 2023)."""
    if ORDER not in scores.methods(compared):
        return ""
    parts = []
    for what, setting, measure in (("ICL", "icl", ORDER_IN_CONTEXT), ("finetuning", "ft", ORDER_FINETUNED)):
        changed = scores.changed_answers(compared, ORDER, setting)
        similarity = scores.estimate(compared, ORDER, measure)
        parts.append(
            f"{what} changes {_percent(changed.value)} of its answers, and its update of attention's outputs has a "
            f"cosine of {similarity.value:.3f}{_bounds(similarity, 1, '.3f')} with that in the first order"
        )
    return (
        f"With the same demonstrations in another order, {'; '.join(parts)}. Gradient descent on all demonstrations at "
        "once would not depend on their order."
    )


def loss_sentences(found: Sequence[Compared]) -> list[str]:
    """Updates that raise the loss of the demonstrations that they are made from, in comparisons with one model."""
    sentences = []
    for method in (PUBLISHED_METHOD, LAYER_CAUSAL, LAYER_CAUSAL_MATCHED):
        losses = [pair for compared in found for pair in compared.losses.get(method, {}).values()]
        raised = sum(after > before for before, after in losses)
        if raised:
            before, after = (sum(some) / len(losses) for some in zip(*losses, strict=True))
            sentences.append(
                f"{method[0].upper()}{method[1:]} raises the loss of the demonstrations in {raised} of "
                f"{counted(len(losses), 'draw')} (on average from {before:.2f} to {after:.2f} nats a token): there it "
                "describes an update, not learning."
            )
    if not any(LAYER_CAUSAL in compared.losses for compared in found):
        sentences.append("Layer-causal gradient descent was not run: the read-out of this model is unknown.")
    return sentences


def rate_sentences(found: Sequence[Compared]) -> list[str]:
    """Learning rates at an end of the candidates, in comparisons with one model."""
    sentences = []
    for end, word in ((min, "smallest"), (max, "largest")):
        chosen = [
            rate == end(compared.candidate_rates)
            for compared in found
            if len(compared.candidate_rates) > 1
            for rate in compared.rates.get(PUBLISHED_METHOD, {}).values()
        ]
        if any(chosen):
            sentences.append(
                f"The learning rate is the {word} candidate in {sum(chosen)} of {counted(len(chosen), 'draw')}: there "
                "may be better ones beyond it."
            )
    return sentences


def one_answer_sentences(found: Sequence[Compared]) -> list[str]:
    """Draws of demonstrations that decide one answer to all queries, in comparisons with one model. How often they
    decide which is not to be seen in few draws: docs/design/intervals.md.
    """
    sentences = []
    for setting in ("icl", "ft"):
        same = [bool(one) for compared in found for one in scores.one_answer(compared, setting)]
        if any(same):
            words = scores.SETTINGS[setting]
            sentences.append(
                f"{words[0].upper()}{words[1:]}, all queries get the same answer in {sum(same)} of "
                f"{counted(len(same), 'draw')}: its accuracy there is that label's share of the queries, and few draws "
                "do not show how often which label it is."
            )
    return sentences


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(gain: Estimate) -> str:
    return f"{100 * gain.value:+.1f} points{_bounds(gain, 100, '+.1f')}"


def _interval(gain: Estimate) -> str:
    return f"{_signed(gain.value)}{_bounds(gain, 1, '+.3f')}"


def _bounds(estimate: Estimate, factor: float, form: str) -> str:
    if not math.isfinite(estimate.low):
        return ""
    return f" [{factor * estimate.low:{form}}, {factor * estimate.high:{form}}]"


def _signed(value: float) -> str:
    """With three decimals, or as many as the first digit takes."""
    decimals = max(3, -math.floor(math.log10(abs(value)))) if value and math.isfinite(value) else 3
    return f"{value:+.{decimals}f}"
