"""What is recorded when a model answers queries: its labels, and the state of each attention layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from llm_icl.experiments.finetuning.dual_form import DualForm, dual_form
from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Context, Reader
from llm_icl.experiments.finetuning.recording import Attended
from llm_icl.experiments.finetuning.text_tasks import Example

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LayerState:
    """One layer with H heads of width P at a query's last token.

    output (D,) is the attention layer's, and output_at_label (D,) that at the first token of label 0; query (H P,) is
    before any rotation. query_logits (H, t) is attention before softmax to the query's own t tokens, and
    context_logits (T,) to the context's T tokens, averaged over heads. dual_form is None without demonstrations.
    """

    output: Floats
    output_at_label: Floats
    query: Floats
    heads: int
    query_logits: Floats
    context_logits: Floats
    dual_form: DualForm | None


@dataclass(frozen=True)
class Asked:
    """The answer to one query, and the state of each layer."""

    label: int
    layers: list[LayerState]


def ask(
    reader: Reader, context: Context, queries: Sequence[Example], layers: Sequence[Layer],
    on_query: Callable[[int], None],
) -> list[Asked]:  # fmt: skip
    """`on_query` is called with the number of queries that were answered before.

    Raises FloatingPointError where an answer is not finite.
    """
    beginning = len(reader.beginning)
    asked: dict[int, Asked] = {}
    for batch in reader.batches(queries, context):
        on_query(len(asked))
        answers = reader.answers(context, [queries[i] for i in batch], layers)
        for i, answer in zip(batch, answers, strict=True):
            asked[i] = Asked(answer.label, [layer_state(layer, context, beginning) for layer in answer.layers])
    return [asked[i] for i in range(len(queries))]


def layer_state(layer: Attended, context: Context, beginning: int) -> LayerState:
    """`beginning` is the number of tokens that precede the demonstrations."""
    logits, read = array(layer.logits), len(context.tokens)  # (H, T + t)
    return LayerState(
        output=array(layer.output),
        output_at_label=array(layer.next_output),
        query=array(layer.plain_query),
        heads=len(logits),
        query_logits=logits[:, read:],  # (H, t)
        context_logits=logits[:, :read].mean(axis=0),  # (H, T) → (T,)
        dual_form=dual_form(layer, beginning, read) if context.spans else None,
    )


def array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().double().cpu().numpy()
