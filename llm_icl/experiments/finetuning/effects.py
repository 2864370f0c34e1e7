"""The comparisons that a report makes, and what each of them shows, corrected for their number.

Each is a difference that is 0 if finetuning is no more similar to in-context learning than what it is compared with.
The units are draws of demonstrations, in the place of problems.
"""

from collections.abc import Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from llm_icl.analysis.comparisons import MARGIN as MARGIN_OF_ACCURACY
from llm_icl.analysis.comparisons import Judgement, Outcome
from llm_icl.analysis.effects import Effect, Key, shown
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import CONTROLLED, SIMILARITIES
from llm_icl.experiments.finetuning.methods import CONTROLS, PUBLISHED_METHOD, RANDOM, SHUFFLED

RECOVERY = "Rec2FTP"
# Smaller differences than these are none.
MARGIN, MARGIN_OF_RECOVERY = 0.02, 0.05

SYMBOLS: Mapping[Outcome, str] = {
    "above": "↑", "below": "↓", "equivalent": "≈", "identical": "=", "too few": "?", "no data": "",
}  # fmt: skip


def effects(compared: Compared) -> dict[tuple[str, str], Effect]:
    """On one set of texts, by measure and what it is compared with: random updates, and for some the controls."""
    count, methods = scores.seeds(compared), scores.methods(compared)
    found = {(RECOVERY, RANDOM): Effect(scores.recovery_above_null(compared), count, MARGIN_OF_RECOVERY)}
    own = {measure: scores.excess(compared, PUBLISHED_METHOD, measure) for measure in SIMILARITIES}
    for measure, values in own.items():
        found[measure.name, RANDOM] = Effect(partial(scores.difference, values), count, MARGIN)
    for measure in CONTROLLED:
        for control in CONTROLS:
            if control in methods:
                less = own[measure] - scores.excess(compared, control, measure)
                controlled = _controlled(compared, control)
                less = less[:, controlled] if less.size else less
                kept = int(controlled.sum())
                drawn = count / max(1, kept)
                found[measure.name, control] = Effect(partial(scores.difference, less), kept, MARGIN, drawn)
    return found


def gains(found: Mapping[Key, Compared]) -> dict[Key, Judgement]:
    """Whether demonstrations in context raise accuracy in each comparison of a report, corrected for their number."""
    return shown(
        {
            key: Effect(partial(scores.gain, one, "icl"), scores.seeds(one), MARGIN_OF_ACCURACY)
            for key, one in found.items()
        }
    )


def _controlled(compared: Compared, control: str) -> NDArray[np.bool_]:
    """The draws for which a control is one, (S,): labels that are all alike cannot be shuffled."""
    unchanged = [compared.unchanged_labels.get(seed, 0.0) for seed in sorted(compared.answers["seed"].unique())]
    return np.array([control != SHUFFLED or share < 1 for share in unchanged])
