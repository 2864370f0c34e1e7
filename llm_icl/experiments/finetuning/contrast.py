"""One query in three settings: without demonstrations (zs), with them in context (icl), and asked of a model that
in-context learning is compared with (ft), which is a finetuned one, or for a null the model before finetuning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_icl.experiments.finetuning.asked import Asked, Floats, LayerState, array
from llm_icl.experiments.finetuning.descent import Learned
from llm_icl.experiments.finetuning.dual_form import DualForm
from llm_icl.experiments.finetuning.reader import Context

# Relative to a vector's largest entry, the change that float32 rounding alone can cause.
_ROUNDING = 1e-5


@dataclass(frozen=True)
class Contrast:
    """`demonstrations` are as the compared model saw them. The seed is that of the random directions of nulls."""

    zs: Asked
    icl: Asked
    ft: Asked
    context: Context
    demonstrations: Sequence[Learned]
    seed: tuple[int, int]

    def layers(self) -> list["LayerContrast"]:
        return [LayerContrast(self, number) for number in range(len(self.icl.layers))]

    @cached_property
    def random_directions(self) -> tuple[list[Floats], Floats]:
        """Of each layer's attention to the query's tokens, (H, t) each, and of all layers' outputs, (L, D). They are
        drawn in this order, whichever measures are computed, so that a seed always gives the same numbers.
        """
        rng = np.random.default_rng(self.seed)
        attention = [rng.normal(size=layer.query_logits[0].shape) for layer in self.layers()]  # L of (H, t)
        return attention, rng.normal(size=(len(self.zs.layers), len(self.zs.layers[0].output)))  # (L, D)


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
        queries = [array(one.queries[self.number]) for one in self.contrast.demonstrations]  # (t, H P) each
        return np.concatenate([one @ query for one in queries])[self._visible]

    @property
    def demonstration_numbers(self) -> NDArray[np.int64]:
        """The demonstration that each token belongs to, (T,)."""
        spans = self.contrast.context.spans
        return np.repeat(np.arange(len(spans)), [end - start for start, end in spans])[self._visible]

    @property
    def random_ranks(self) -> Floats:
        """Random numbers in the place of the products, (T,)."""
        rng = np.random.default_rng([*self.contrast.seed, self.number])
        return rng.normal(size=len(self.demonstrations_attention))

    @property
    def random_output(self) -> Floats:
        """A random direction of the attention layer's output, (D,)."""
        direction: Floats = self.contrast.random_directions[1][self.number]
        return direction

    @property
    def random_logits(self) -> Floats:
        """A random direction of the attention to the query's tokens, (H, t)."""
        return self.contrast.random_directions[0][self.number]

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
