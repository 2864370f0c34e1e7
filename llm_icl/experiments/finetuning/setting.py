"""What was compared, in words: the setting of a comparison, its learning rates and losses, and how to read it."""

from typing import Any

import numpy as np

from llm_icl.analysis.intervals import FEWEST_SEEDS
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.effects import MARGIN, MARGIN_OF_RECOVERY
from llm_icl.experiments.finetuning.measures import MEASURES
from llm_icl.experiments.finetuning.methods import PUBLISHED_METHOD, draws

NOTES = (
    "Finetuning: one epoch of plain gradient descent on the demonstrations, one at a time in the order of the context, "
    "on the mean loss of all tokens; key and value projections only; float32. The loss is that of the demonstrations "
    "in context, in nats a token, before the update and after it, whatever it was made from.",
    "Random updates are the null of every measure: in each trained parameter tensor a uniformly random direction, as "
    "long as finetuning's change (three draws for each draw of demonstrations, averaged).",
    "Lengths: the updates of other demonstrations, shuffled labels, another order and layer-causal gradient descent "
    "(matched length) are made as long as finetuning's, tensor by tensor, so that they differ in their direction only "
    "(their factors are in the table of updates). The untrained model is finetuned at the same learning rate, and "
    "compared with random updates as long as its own.",
    f"↑ above, ↓ below, ≈ within {MARGIN} (Rec2FTP: {100 * MARGIN_OF_RECOVERY:.0f} points) of what it is compared "
    "with, ? too few draws to tell: with the interval that the correction for all comparisons of the report (Holm) "
    "leaves, which is wider than the 95 % interval beside it.",
    "Controls: a difference is that of finetuning on these demonstrations minus the control, each above its own random "
    "updates; percentages are of the excess of finetuning on these demonstrations over its random updates.",
    "Rec2FTP: of the queries that zero-shot gets wrong and finetuning gets right, the fraction that ICL also gets "
    "right.",
    *(f"{measure.name}: {measure.note}" for measure in MEASURES if measure.note),
    "Another order (Shen et al. 2023): the same demonstrations permuted, in context and in finetuning. In-context "
    "learning depends on their order; gradient descent on all at once does not, one at a time a little.",
    "Layer-causal gradient descent (Deutch et al. 2024): each layer learns from its own read-out only, at the learning "
    "rate chosen for gradient descent (or the next smaller one, if it diverges).",
    "Intervals are 95 %, over queries and draws of demonstrations (crossed, by analysis of variance): they cover "
    f"another draw of both. With fewer than {FEWEST_SEEDS} draws there are none.",
)


def losses(found: Compared, method: str) -> str:
    """The demonstrations' loss before and after the update, by seed; of random updates, the mean over their draws."""
    some = [found.losses[draw] for draw in draws(method) if draw in found.losses]
    means = {seed: np.mean([one[seed] for one in some], axis=0) for seed in (some[0] if some else {})}
    return ", ".join(f"{before:.2f} → {after:.2f}" for before, after in means.values())


def scales(found: Compared, method: str) -> str:
    """The factors by which updates were made as long as gradient descent's, by seed; empty for those that were not."""
    factors = found.scales.get(method, {}).values()
    return ", ".join(f"{factor:.2f}" for factor in factors) if any(factor != 1 for factor in factors) else ""


def setting(found: Compared, record: dict[str, Any]) -> str:
    """What was compared, how it was chosen, and its cost."""
    request = record["request"]
    where = (
        "the reported examples, as in the paper (which inflates all numbers)"
        if request["choose_on"] == "evaluation"
        else "texts that are neither demonstrations nor reported"
    )
    unchanged = ", ".join(f"{100 * same:.0f} %" for same in found.unchanged_labels.values())
    between = "a line break" if request["separator"] == "newline" else "the end-of-text token"
    counts = sorted(set(found.demonstrations.values()))
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    word = "demonstration" if counts == [1] else "demonstrations"
    cut = (
        f" (of {request['demonstrations']}: as many as fit the context)"
        if counts[0] < request["demonstrations"]
        else ""
    )
    shuffled = f"; shuffled labels: {unchanged} unchanged" if unchanged else ""
    requested = ", ".join(map(str, request["seeds"]))
    if request["best_seed"]:
        seeds = f"seed {next(iter(found.demonstrations))}, the best in context of {requested}"
        chosen = "seed and learning rates"
    else:
        seeds, chosen = f"seeds {requested}" if len(request["seeds"]) > 1 else f"seed {requested}", "learning rates"
    queries = found.answers["example"].n_unique()
    return (
        f"{shown} {word}{cut}, {seeds}, with {between} between them; {queries} queries; {chosen} "
        f"chosen on {where}{shuffled}.{_left_out(found)} "
        f"Wall time {record['wall_seconds']:.0f} s, {record['memory_gb']:.1f} GB of memory."
    )


def _left_out(found: Compared) -> str:
    """The candidate learning rates at which a number was not finite, with their seeds."""
    seeds = {rate: [seed for seed, rates in found.left_out.items() if rate in rates] for rate in found.candidate_rates}
    words = [f"{rate:g} (seed {', '.join(map(str, some))})" for rate, some in seeds.items() if some]
    return f" Left out, since finetuning diverged: learning rate {', '.join(words)}." if words else ""


def rates(found: Compared, method: str) -> str:
    """The learning rates, by seed; chosen ones are marked where they are the smallest or largest candidate, beyond
    which there may be better ones.
    """
    ends = {min(found.candidate_rates): " (min candidate)", max(found.candidate_rates): " (max candidate)"}
    if method != PUBLISHED_METHOD or len(ends) == 1:
        ends = {}
    return ", ".join(f"{rate:g}{ends.get(rate, '')}" for rate in found.rates.get(method, {}).values())
