"""One query in three settings: without demonstrations (zs), with them in context (icl), and asked of a model that
in-context learning is compared with (ft), which is an updated one, or the model itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_icl.experiments.finetuning.asked import Asked, Floats, LayerState
from llm_icl.experiments.finetuning.dual_form import DualForm
from llm_icl.experiments.finetuning.reader import Context

# Relative to a vector's largest entry, the change that float32 rounding alone can cause.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Contrast:
    """`demonstrations` holds, for each layer, the queries (T, H P) of all tokens of the demonstrations, as the compared
    model saw them.
    """

    zs: Asked
    icl: Asked
    ft: Asked
    context: Context
    demonstrations: Sequence[Floats]

    def layers(self) -> list["LayerContrast"]:
        return [LayerContrast(self, number) for number in range(len(self.icl.layers))]


@dataclass(frozen=True)
class LayerContrast:
    """One layer of a contrast. T counts the demonstrations' tokens that a sliding window does not hide."""

    contrast: Contrast
    number: int

    @property
    def settings(self) -> tuple[LayerState, LayerState, LayerState]:
        of = self.contrast
        return of.zs.layers[self.number], of.icl.layers[self.number], of.ft.layers[self.number]

    @property
    def outputs(self) -> list[Floats]:
        """Of the attention layer in each setting, (D,) each."""
        return [state.output for state in self.settings]

    @property
    def outputs_at_label(self) -> list[Floats]:
        return [state.output_at_label for state in self.settings]

    @cached_property
    def query_logits(self) -> list[Floats]:
        """Attention before softmax in each setting, (H, t) each, to those of the query's tokens that a sliding window
        hides in none.
        """
        logits = [state.query_logits for state in self.settings]
        visible = np.isfinite(np.stack(logits)).all(axis=(0, 1))  # (3, H, t) → (t,)
        return [one[:, visible] for one in logits]

    @property
    def depends_on_context(self) -> bool:
        """Whether attention among the query's own tokens can change with the context: not in a first layer with rotary
        positions, whose input is the same embeddings with and without it. Differences there are rounding errors, which
        grow with the position.
        """
        alone, read, _ = self.settings
        return not np.allclose(alone.query, read.query, rtol=0, atol=_ROUNDING * np.abs(alone.query).max())

    @cached_property
    def demonstrations_attention(self) -> Floats:
        """Attention before softmax to the demonstrations' tokens in context, averaged over heads, (T,)."""
        return self._all_attention[self._visible]

    @cached_property
    def demonstrations_products(self) -> Floats:
        """Products of the query's vector with those of the demonstrations' tokens in the compared model, scaled and
        averaged over heads as attention before softmax is, (T,).
        """
        *_, ft = self.settings
        query = ft.query / np.sqrt(ft.heads * len(ft.query))  # the number of heads, times the root of a head's width
        products: Floats = self.contrast.demonstrations[self.number] @ query
        return products[self._visible]

    @property
    def demonstration_numbers(self) -> NDArray[np.int64]:
        """The demonstration that each token belongs to, (T,)."""
        spans = self.contrast.context.spans
        return np.repeat(np.arange(len(spans)), [end - start for start, end in spans])[self._visible]

    @property
    def dual_form(self) -> DualForm:
        _, icl, _ = self.settings
        assert icl.dual_form is not None
        return icl.dual_form

    @property
    def _all_attention(self) -> Floats:
        _, icl, _ = self.settings
        return icl.context_logits[[token for start, end in self.contrast.context.spans for token in range(start, end)]]

    @cached_property
    def _visible(self) -> NDArray[np.bool_]:
        return np.isfinite(self._all_attention)
