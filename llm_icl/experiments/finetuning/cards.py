"""The card of each model in comparisons of in-context learning with finetuning: its gain in context, how similar
finetuning is to that, and what this rests on.
"""

from collections.abc import Iterable, Mapping

from llm_icl.analysis.comparisons import Judgement, Outcome
from llm_icl.analysis.intervals import FEWEST_SEEDS
from llm_icl.config.specs import counted, span_of
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.effects import RECOVERY
from llm_icl.experiments.finetuning.measures import CONTROLLED
from llm_icl.experiments.finetuning.methods import RANDOM
from llm_icl.experiments.finetuning.verdict import (
    NOT_REQUIRED,
    gain_sentence,
    gains_sentence,
    loss_sentences,
    one_answer_sentences,
    rate_sentences,
)
from llm_icl.reports.document import Badge, Card, Finding

# What is said of one set of texts, by measure and what it is compared with.
Told = Mapping[tuple[str, str], Judgement]

_MEASURES = (RECOVERY, *(measure.name for measure in CONTROLLED))


def card_of(
    model: str, own: Mapping[str, Compared], told: Mapping[str, Told], gains: Mapping[str, Judgement], corrected: str
) -> Card:
    """Of a model on sets of texts, by their names; `corrected` says what claims are corrected for."""
    ((name, first), *others) = own.items()
    gain = gains_sentence(gains) if others else gain_sentence(first, gains[name])
    findings = {
        "Gain in context": Finding(_gain_badge(gains.values()), gain[0].upper() + gain[1:]),
        "Similarity": _similarity(own, told),
        "Trust": _trust(own, corrected),
    }
    return Card(model, ", ".join(own), findings)


def _gain_badge(gains: Iterable[Judgement]) -> Badge:
    clear = [gain.outcome not in ("too few", "no data") for gain in gains]
    return "clear" if all(clear) else "weak" if any(clear) else "can't tell"


def _similarity(own: Mapping[str, Compared], told: Mapping[str, Told]) -> Finding:
    """On how many sets each measure is above random updates, and above the controls of similarity too."""
    enough = [name for name, one in own.items() if scores.seeds(one) >= FEWEST_SEEDS]
    if not enough:
        return Finding(
            "can't tell", f"No conclusion: it takes {FEWEST_SEEDS} draws of demonstrations at least (--seed 1,2,3)."
        )
    parts: list[str] = []
    outcomes: list[Outcome] = []
    for measure in _MEASURES:
        compared = {name: told[name][measure, RANDOM].outcome for name in enough if (measure, RANDOM) in told[name]}
        shown = {name: outcome for name, outcome in compared.items() if outcome != "no data"}
        if not shown:
            continue
        outcomes += shown.values()
        above = [name for name, outcome in shown.items() if outcome == "above"]
        text = f"{measure} is above random updates on {len(above)} of {counted(len(shown), 'set')}"
        if above and any((measure, control) in told[name] for name in above for control in NOT_REQUIRED):
            beyond = [name for name in above if _above_controls(told[name], measure)]
            text += f", and above the controls too on {len(beyond)}"
        parts.append(text)
    if not outcomes:
        return Finding("can't tell", "No measure could be compared with random updates.")
    unknown = outcomes.count("too few")
    text = "; ".join(parts)
    if unknown:
        which = f"{unknown} of these {len(outcomes)} comparisons" if len(outcomes) > 1 else "it"
        text += f"; {which} {'has' if unknown == 1 else 'have'} too few draws to tell"
    badge: Badge = "clear" if not unknown else "weak" if unknown < len(outcomes) else "can't tell"
    return Finding(badge, f"{text}.")


def _above_controls(told: Told, measure: str) -> bool:
    compared = [told[measure, control].outcome for control in NOT_REQUIRED if (measure, control) in told]
    return bool(compared) and all(outcome == "above" for outcome in compared)


def _trust(own: Mapping[str, Compared], corrected: str) -> Finding:
    found = list(own.values())
    draws = sorted({scores.seeds(one) for one in found})
    queries = sorted({one.answers["example"].n_unique() for one in found})
    doubts = [*one_answer_sentences(found), *loss_sentences(found), *rate_sentences(found)]
    drawn = f"{span_of(draws)} {'draw' if draws[-1] == 1 else 'draws'}"
    sentences = [f"{drawn} of demonstrations and {span_of(queries)} queries a set.", corrected, *doubts]
    badge: Badge = (
        "can't tell" if draws[-1] < FEWEST_SEEDS else "weak" if doubts or draws[0] < FEWEST_SEEDS else "clear"
    )
    return Finding(badge, " ".join(filter(None, sentences)))
