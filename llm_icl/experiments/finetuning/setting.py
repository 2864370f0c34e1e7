"""What was compared, in words: the setting of a comparison, its learning rates and losses, and how to read it."""

from typing import Any

from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import MEASURES
from llm_icl.experiments.finetuning.methods import PUBLISHED_METHOD

NOTES = (
    "Finetuning: one epoch of plain gradient descent on the demonstrations, one at a time in the order of the context, "
    "on the mean loss of all tokens; key and value projections only; float32. The loss is that of the demonstrations, "
    "in nats a token: before finetuning, and during it, each before its own update.",
    "Rec2FTP: of the queries that zero-shot gets wrong and finetuning gets right, the fraction that ICL also gets "
    "right. Null: the same of those that zero-shot and finetuning get wrong.",
    *(f"{measure.name}: {measure.note}" for measure in MEASURES if measure.note),
    "Layer-causal gradient descent (Deutch et al. 2024): each layer learns from its own read-out only. It and the "
    "controls use the learning rate chosen for gradient descent (layer-causal gradient descent the next smaller one, "
    "if it diverges).",
    "Controls: a difference is that of finetuning on these demonstrations minus the control, each above its own null; "
    "percentages are of the excess of finetuning on these demonstrations over its null.",
    "Intervals are 95 %, over queries and, where there are several, seeds, by analysis of variance: they cover another "
    "draw of queries and demonstrations. With one seed they are over queries only.",
)


def losses(found: Compared, method: str) -> str:
    """The demonstrations' loss before finetuning and during it, by seed."""
    return ", ".join(f"{before:.2f} → {during:.2f}" for before, during in found.losses.get(method, {}).values())


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
        f"chosen on {where}{shuffled}. "
        f"Wall time {record['wall_seconds']:.0f} s, {record['memory_gb']:.1f} GB of memory."
    )


def rates(found: Compared, method: str) -> str:
    """The learning rates, by seed; chosen ones are marked where they are the smallest or largest candidate, beyond
    which there may be better ones.
    """
    ends = {min(found.candidate_rates): " (min candidate)", max(found.candidate_rates): " (max candidate)"}
    if method != PUBLISHED_METHOD or len(ends) == 1:
        ends = {}
    return ", ".join(f"{rate:g}{ends.get(rate, '')}" for rate in found.rates.get(method, {}).values())
