"""The measures of similarity between in-context learning and finetuning: one table, from which the study computes them
and the reports name, explain and compare them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llm_icl.experiments.finetuning import metrics
from llm_icl.experiments.finetuning.contrast import LayerContrast

# Which model in-context learning is compared with: the model before finetuning, the finetuned one, or the finetuned one
# with the demonstrations as it saw them during training.
Comparand = Literal["model", "finetuned", "training"]

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
    """What in-context learning is compared with. Nulls of "model" are the same for all methods of finetuning."""
    note: str = ""
    """For the reader of a report."""
    null: "Measure | None" = None
    """The measure that it is compared with; without one it is compared with 0."""
    as_null: str = ""
    """What it is called as another's null."""
    controlled: bool = False
    """Whether the verdict compares it with the controls."""
    drawn: bool = False
    """Whether reports draw it."""
    published: str = ""
    """Its key among the published figures."""

    @property
    def null_name(self) -> str:
        return self.null.as_null if self.null else "0"


def _random_output_change(layer: LayerContrast) -> float:
    return float(metrics.random_update_similarity(layer.random_output, *layer.outputs))


def _attention_similarity(layer: LayerContrast) -> float:
    _, icl, ft = layer.query_logits
    return metrics.map_similarity(icl, ft)


def _logits_changes(layer: LayerContrast) -> float:
    return metrics.map_change_similarity(*layer.query_logits) if layer.depends_on_context else _UNDEFINED


def _softmax_changes(layer: LayerContrast) -> float:
    return metrics.map_softmax_similarity(*layer.query_logits) if layer.depends_on_context else _UNDEFINED


def _random_softmax_change(layer: LayerContrast) -> float:
    if not layer.depends_on_context:
        return _UNDEFINED
    return metrics.random_map_softmax_similarity(layer.random_logits, *layer.query_logits)


def _rank_correlation(layer: LayerContrast) -> float:
    return metrics.rank_correlation(layer.demonstrations_attention, layer.demonstrations_products)


def _random_rank_correlation(layer: LayerContrast) -> float:
    return metrics.rank_correlation(layer.demonstrations_attention, layer.random_ranks)


def _token_overlap(layer: LayerContrast) -> float:
    return metrics.overlap(layer.demonstrations_attention, layer.demonstrations_products, _TOP_TOKENS)


def _demonstration_overlap(layer: LayerContrast) -> float:
    numbers = layer.demonstration_numbers
    icl, ft = (
        metrics.demonstrations_attention(attention, numbers)
        for attention in (layer.demonstrations_attention, layer.demonstrations_products)
    )
    return metrics.overlap(icl, ft, _TOP_DEMONSTRATIONS)


_CHANCE, _BEFORE = "chance", "that before finetuning"

SIMAOU_RANDOM = Measure("SimAOU, random change", _random_output_change, as_null=_CHANCE)
SIMAOU = Measure(
    "SimAOU",
    lambda layer: float(metrics.update_similarity(*layer.outputs)),
    note="cosine similarity between the changes that ICL and finetuning make to an attention layer's output at the "
    "query's last token; outputs are normalised to length 1. Null: a change as long as finetuning's in a uniformly "
    "random direction; where changes are large, it is not 0.",
    null=SIMAOU_RANDOM,
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
    "SimAM before finetuning", _attention_similarity, "model", as_null=_BEFORE, published="simam_before"
)
SIMAM = Measure(
    "SimAM",
    _attention_similarity,
    note="cosine similarity of attention to the query's tokens before softmax, in context and finetuned, as published.",
    null=SIMAM_BEFORE,
    published="simam",
)
SIMAM_CHANGES = Measure(
    "SimAM of changes",
    _logits_changes,
    note="the same of the changes that ICL and finetuning make, each head's logits being centred. Undefined in layers "
    "where nothing changes (the first one with rotary positions).",
    controlled=True,
)
SIMAM_SOFTMAX_RANDOM = Measure(
    "SimAM of changes, after softmax, random change", _random_softmax_change, as_null=_CHANCE
)
SIMAM_SOFTMAX = Measure(
    "SimAM of changes, after softmax",
    _softmax_changes,
    note="the same after softmax over the query's tokens. Null: a change of each head's logits as long as "
    "finetuning's in a uniformly random direction.",
    null=SIMAM_SOFTMAX_RANDOM,
    controlled=True,
    drawn=True,
)
DUAL_GAP = Measure(
    "dual form, gap",
    lambda layer: layer.dual_form.gap,
    "model",
    note="the maximum relative difference between linear attention over all tokens and the zero-shot weights (from the "
    "query's own tokens as they follow the demonstrations) plus the sum of outer products, in float64.",
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
)
KENDALL_RANDOM = Measure("Kendall, random", _random_rank_correlation, "model")
KENDALL_BEFORE = Measure("Kendall, not finetuned", _rank_correlation, "model", as_null=_BEFORE)
KENDALL = Measure(
    "Kendall",
    _rank_correlation,
    note="by layer, the rank correlation of attention to the demonstrations' tokens in context with the products of "
    "the query's vector with theirs (normalised where attention normalises them, before any rotation) in a finetuned "
    "model, which reads these demonstrations after finetuning, whatever it was finetuned on. Null: the same in the "
    "model before finetuning, which already correlates with ICL.",
    null=KENDALL_BEFORE,
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
TOP_TOKENS_BEFORE = Measure("top tokens, not finetuned", _token_overlap, "model", as_null=_BEFORE)
TOP_TOKENS = Measure(
    "top tokens",
    _token_overlap,
    note=f"the fraction of the {_TOP_TOKENS} most attended tokens of the demonstrations that both have in common. "
    "Null: as Kendall's.",
    null=TOP_TOKENS_BEFORE,
)
TOP_DEMONSTRATIONS_BEFORE = Measure(
    "top demonstrations, not finetuned", _demonstration_overlap, "model", as_null=_BEFORE
)
TOP_DEMONSTRATIONS = Measure(
    "top demonstrations",
    _demonstration_overlap,
    note=f"the same of the {_TOP_DEMONSTRATIONS} most attended demonstrations.",
    null=TOP_DEMONSTRATIONS_BEFORE,
)

# In the order of reports, and within each comparand of the files.
DUAL_FORM = (DUAL_GAP, DUAL_COSINE, DUAL_DISTANCE)
MEASURES = (
    SIMAOU, SIMAOU_RANDOM, SIMAOU_AT_LABEL, SIMAM, SIMAM_BEFORE, SIMAM_CHANGES, SIMAM_SOFTMAX, SIMAM_SOFTMAX_RANDOM,
    *DUAL_FORM, KENDALL, KENDALL_RANDOM, KENDALL_BEFORE, KENDALL_PUBLISHED, TOP_TOKENS, TOP_TOKENS_BEFORE,
    TOP_DEMONSTRATIONS, TOP_DEMONSTRATIONS_BEFORE,
)  # fmt: skip
# Those that finetuning plays a part in, without nulls.
SIMILARITIES = tuple(measure for measure in MEASURES if measure.comparand != "model" and not measure.as_null)
CONTROLLED = tuple(measure for measure in MEASURES if measure.controlled)
