"""The measures of similarity between in-context learning and finetuning: one table, from which the study computes them
and the reports name, explain and compare them. The null of each is the same measure of random updates.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llm_icl.experiments.finetuning import metrics
from llm_icl.experiments.finetuning.contrast import LayerContrast

# What in-context learning is compared with: the model without demonstrations, an updated one, or a finetuned one with
# the demonstrations as it saw them during training. Or what stands in both places: the same demonstrations in two
# orders, in context or finetuned.
Comparand = Literal["model", "finetuned", "training", "context in another order", "finetuned in another order"]

# Numbers of training tokens, and of demonstrations, among the most attended ones.
_TOP_TOKENS, _TOP_DEMONSTRATIONS = 100, 5
_UNDEFINED = float("nan")


@dataclass(frozen=True)
class Measure:
    """One measure, by layer, of one query."""

    name: str
    """What it is called, also in the files of runs."""
    compute: Callable[[LayerContrast], float]
    """From one layer; NaN where it is undefined."""
    comparand: Comparand = "finetuned"
    """What in-context learning is compared with. Those of "model" are the same for all methods of finetuning."""
    note: str = ""
    """For the reader of a report."""
    controlled: bool = False
    """Whether the verdict compares it with the controls."""
    drawn: bool = False
    """Whether reports draw it."""
    published: str = ""
    """Its key among the published figures."""
    ends: tuple[float, float] = (-1.0, 1.0)
    """What it is at least and at most: of cosines and rank correlations, -1 and 1."""


def _attention_similarity(layer: LayerContrast) -> float:
    _, icl, ft = layer.query_logits
    return metrics.map_similarity(icl, ft)


def _logits_changes(layer: LayerContrast) -> float:
    return metrics.map_change_similarity(*layer.query_logits) if layer.depends_on_context else _UNDEFINED


def _softmax_changes(layer: LayerContrast) -> float:
    return metrics.map_softmax_similarity(*layer.query_logits) if layer.depends_on_context else _UNDEFINED


def _rank_correlation(layer: LayerContrast) -> float:
    return metrics.rank_correlation(layer.demonstrations_attention, layer.demonstrations_products)


def _token_overlap(layer: LayerContrast) -> float:
    return metrics.overlap(layer.demonstrations_attention, layer.demonstrations_products, _TOP_TOKENS)


def _demonstration_overlap(layer: LayerContrast) -> float:
    numbers = layer.demonstration_numbers
    icl, ft = (
        metrics.demonstrations_attention(attention, numbers)
        for attention in (layer.demonstrations_attention, layer.demonstrations_products)
    )
    return metrics.overlap(icl, ft, _TOP_DEMONSTRATIONS)


SIMAOU = Measure(
    "SimAOU",
    lambda layer: float(metrics.update_similarity(*layer.outputs)),
    note="cosine similarity between the changes that ICL and finetuning make to an attention layer's output at the "
    "query's last token; outputs are normalised to length 1, so that all large changes point inwards and resemble each "
    "other a little.",
    controlled=True,
    drawn=True,
)
SIMAOU_AT_LABEL = Measure(
    "SimAOU at a label",
    lambda layer: float(metrics.update_similarity(*layer.outputs_at_label)),
    note="the same at the first token of label 0's word, appended to the query. The published code reads all "
    "similarities there.",
    published="simaou",
)
SIMAM_BEFORE = Measure(
    "SimAM before finetuning",
    _attention_similarity,
    "model",
    note="cosine similarity of attention to the query's tokens before softmax, in context and without demonstrations, "
    "as published.",
    published="simam_before",
)
SIMAM = Measure(
    "SimAM", _attention_similarity, note="the same in context and finetuned, as published.", published="simam"
)
SIMAM_CHANGES = Measure(
    "SimAM of changes",
    _logits_changes,
    note="the same of the changes that ICL and finetuning make, each head's logits being centred. Heads whose logits "
    "change by no more than rounding (1e-5 of their length) are left out, and so are layers without any other (the "
    "first one with rotary positions).",
    controlled=True,
)
SIMAM_SOFTMAX = Measure(
    "SimAM of changes, after softmax",
    _softmax_changes,
    note="the same after softmax over the query's tokens, of the same heads.",
    controlled=True,
    drawn=True,
)
DUAL_GAP = Measure(
    "dual form, gap",
    lambda layer: layer.dual_form.gap,
    "model",
    note="the maximum relative difference between linear attention over all tokens and the zero-shot weights (from the "
    "query's own tokens as they follow the demonstrations) plus the sum of outer products, in float64.",
    ends=(0.0, math.inf),
)
DUAL_COSINE = Measure(
    "dual form, cosine of softmax's change",
    lambda layer: layer.dual_form.softmax_cosine,
    "model",
    note="cosine similarity between what demonstrations change in the output of softmax attention and of linear "
    "attention.",
    drawn=True,
)
DUAL_DISTANCE = Measure(
    "dual form, distance of softmax",
    lambda layer: layer.dual_form.softmax_distance,
    "model",
    note="distance between the outputs of softmax and of linear attention, each normalised to length 1.",
    ends=(0.0, 2.0),
)
KENDALL = Measure(
    "Kendall",
    _rank_correlation,
    note="by layer, the rank correlation of attention to the demonstrations' tokens in context with the products of "
    "the query's vector with theirs (normalised where attention normalises them, before any rotation) in an updated "
    "model, which reads these demonstrations after the update, whatever it was finetuned on. Values that are equal up "
    "to rounding (1e-5 of the largest) are ties: texts that begin alike have many.",
    controlled=True,
    drawn=True,
)
KENDALL_PUBLISHED = Measure(
    "Kendall, as published",
    _rank_correlation,
    "training",
    note="the demonstrations' vectors are those of the moment in which each was learned. The published null is random "
    "numbers.",
    published="kendall",
)
TOP_TOKENS = Measure(
    "top tokens",
    _token_overlap,
    note=f"the fraction of the {_TOP_TOKENS} most attended tokens of the demonstrations that both have in common; ties "
    "go to the earlier token.",
    ends=(0.0, 1.0),
)
TOP_DEMONSTRATIONS = Measure(
    "top demonstrations",
    _demonstration_overlap,
    note=f"the same of the {_TOP_DEMONSTRATIONS} most attended demonstrations.",
    ends=(0.0, 1.0),
)
# SimAOU of two settings that differ in the order of the demonstrations only.
ORDER_IN_CONTEXT = Measure("same change in another order, in context", SIMAOU.compute, "context in another order")
ORDER_FINETUNED = Measure("same change in another order, finetuned", SIMAOU.compute, "finetuned in another order")

# In the order of reports, and within each comparand of the files.
DUAL_FORM = (DUAL_GAP, DUAL_COSINE, DUAL_DISTANCE)
ORDER_MEASURES = (ORDER_IN_CONTEXT, ORDER_FINETUNED)
MEASURES = (
    SIMAOU, SIMAOU_AT_LABEL, SIMAM_BEFORE, SIMAM, SIMAM_CHANGES, SIMAM_SOFTMAX, *DUAL_FORM, KENDALL, KENDALL_PUBLISHED,
    TOP_TOKENS, TOP_DEMONSTRATIONS, *ORDER_MEASURES,
)  # fmt: skip
# Those that an update plays a part in. All are compared with random updates, and some with the controls.
SIMILARITIES = tuple(measure for measure in MEASURES if measure.comparand == "finetuned")
CONTROLLED = tuple(measure for measure in SIMILARITIES if measure.controlled)
