"""What was compared, in words: the setting of a comparison, its learning rates and losses, and how to read it."""

from typing import Any

from llm_icl.experiments.finetuning.comparison import PUBLISHED_WAY, Compared

NOTES = (
    "Finetuning: one epoch of plain gradient descent on the demonstrations, in the order in which they stand in the "
    "context, one at a time, on the mean loss of all tokens; keys' and values' projections only; float32. The loss is "
    "that of the demonstrations, in nats a token: of the model as it was, and while it learned them, each before its "
    "own update.",
    "Rec2FTP: of the queries that zero-shot gets wrong and finetuning gets right, the fraction that ICL also gets "
    "right. Its null: the same of those that zero-shot gets wrong and finetuning does not mend.",
    "SimAOU: the cosine between the changes that both make to an attention layer's output, brought to length 1, at the "
    "query's last token. Null: a change as long as that by finetuning, in a direction drawn uniformly; where changes "
    "are great, it is not 0. At a label, without a null of its own: read where the published code reads it, at the "
    "token after the query where that is the (first) token of label 0's word. Their other numbers were read there too.",
    "SimAM: the cosine of attention to the query's tokens before softmax, in context and finetuned, as published. Of "
    "changes: of what both change in it, centred; after softmax: of what both change in attention, as it is shared out "
    "over the query's tokens; its null: a change of each head's logits as long as that by finetuning, in a direction "
    "drawn uniformly. Layers in which nothing changes (a first one with rotary positions) do not count.",
    "Kendall: rank correlation of the attention to the demonstrations' tokens in context with the products of the "
    "query's vector with theirs (normalised where attention normalises them, before any rotation), by layer, in a "
    "finetuned model that is shown these demonstrations afterwards, whatever it learned. Null: the same in the model "
    "that was not finetuned, where they are alike already. As published: the demonstrations' vectors are those of the "
    "moment in which each was learned; random numbers are the published null.",
    "Top tokens, top demonstrations: of the 100 tokens and 5 demonstrations that get most attention, the share that "
    "both have in common; null: as Kendall's.",
    "Layer-causal gradient descent (Deutch et al. 2024): each layer learns from its own read-out only. Its learning "
    "rate, and the controls', is the one that was chosen for gradient descent (or the next smaller at which it stays "
    "finite).",
    "Dual form: the gap is the greatest relative difference between linear attention over all tokens and the zero-shot "
    "weights (made of the query's own tokens as they stand behind the demonstrations) plus the sum of outer products, "
    "in float64; the cosine is that between what demonstrations change in the output of softmax attention and of "
    "linear attention.",
    "Controls: a difference is that of finetuning on these demonstrations less the control, each above its own null; "
    "the share is of what finetuning on these demonstrations is above its null.",
    "Intervals are 95 %, over queries and, where there are several, seeds, by analysis of variance: another draw of "
    "queries or demonstrations might have come. With one seed they are over queries only.",
)


def losses(found: Compared, way: str) -> str:
    """The demonstrations' loss before finetuning and during it, by seed."""
    return ", ".join(f"{before:.2f} → {during:.2f}" for before, during in found.losses.get(way, {}).values())


def setting(found: Compared, record: dict[str, Any]) -> str:
    """What was compared, how it was chosen, and what it took."""
    request = record["request"]
    where = (
        "the very examples that are reported, as in the paper (which flatters all numbers)"
        if request["choose_on"] == "evaluation"
        else "texts that are neither demonstrated nor reported"
    )
    kept = ", ".join(f"{100 * same:.0f} %" for same in found.kept_labels.values())
    between = "a line break" if request["separator"] == "newline" else "the token that ends a text"
    counts = sorted(set(found.demonstrations.values()))
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    word = "demonstration" if counts == [1] else "demonstrations"
    cut = f" (of {request['demonstrations']}: as many as fit)" if counts[0] < request["demonstrations"] else ""
    shuffled = f"; shuffled labels: {kept} stayed what they were" if kept else ""
    given = ", ".join(map(str, request["seeds"]))
    if request["best_seed"]:
        seeds = f"seed {next(iter(found.demonstrations))}, the best in context of {given}"
        chosen = "seed and learning rates"
    else:
        seeds, chosen = f"seeds {given}" if len(request["seeds"]) > 1 else f"seed {given}", "learning rates"
    return (
        f"{shown} {word}{cut}, {seeds}, with {between} between them; {request['examples']} queries; {chosen} "
        f"chosen on {where}{shuffled}. "
        f"Wall time {record['wall_seconds']:.0f} s, {record['memory_gb']:.1f} GB of memory."
    )


def rates(found: Compared, way: str) -> str:
    """The learning rates, by seed; of a chosen one, whether a better one might lie beyond those that were tried."""
    ends = {min(found.tried_rates): " (min tried)", max(found.tried_rates): " (max tried)"}
    if way != PUBLISHED_WAY or len(ends) == 1:
        ends = {}
    return ", ".join(f"{rate:g}{ends.get(rate, '')}" for rate in found.rates.get(way, {}).values())
