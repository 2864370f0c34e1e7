"""Several ends of prompts behind a prefix that they share, in one sequence, where each sees the prefix and itself.

As rows of a batch, each end has keys and values of the whole prefix copied for it at every layer. In one sequence they
are read where they are, and a mask keeps the ends apart (as in the packing of training sequences: Krell et al. 2021,
arXiv 2107.02027).
"""

import inspect
from typing import Any

import torch
from torch import Tensor

from llm_icl.backends.forward.self_check import differ
from local_models.kv_cache import forked
from local_models.logits import logits_at


class Packing:
    """Logits of ends behind a prefix; packed, if this model gives the logits of rows of a batch so.

    This is tried with the first ends of each greater length, of the sequence and of what one end sees, because what
    tells them apart (a window, positions by place and not by number) may show only there. A model that takes no numbers
    of positions is never packed: in half precision, places that are wrong can pass for rounding.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        # The most that was packed and compared: tokens in all, and that one end sees.
        self._tried = (0, 0)
        self._works = "position_ids" in inspect.signature(model.forward).parameters

    def logits(self, tokens: Tensor, kept: Tensor, prefix: Any, before: int) -> Tensor:
        """tokens (B, T) of B ends, positions kept (K,) of each, the cache of the prefix's `before` tokens → logits
        (B, K, vocabulary).
        """
        # Longer than the prefix, they would make a mask of mostly nothing.
        if not self._works or len(tokens) == 1 or tokens.numel() > before:
            return self._rows(tokens, kept, prefix)
        sizes = before + tokens.numel(), before + tokens.shape[1]
        if all(size <= tried for size, tried in zip(sizes, self._tried, strict=True)):
            return self._packed(tokens, kept, prefix, before)
        self._tried = max(sizes[0], self._tried[0]), max(sizes[1], self._tried[1])
        expected = self._rows(tokens, kept, prefix)
        try:
            found = self._packed(tokens, kept, prefix, before)
            self._works = not differ(found, expected, self._model.dtype)
        except Exception:  # models raise anything for a mask that they do not expect
            self._works = False
        return found if self._works else expected

    def _rows(self, tokens: Tensor, kept: Tensor, prefix: Any) -> Tensor:
        return logits_at(self._model, tokens, kept, forked(prefix, len(tokens)))

    def _packed(self, tokens: Tensor, kept: Tensor, prefix: Any, before: int) -> Tensor:
        count, length = tokens.shape
        device = tokens.device
        own = torch.block_diag(*torch.ones(count, length, length, device=device).tril())  # (B T, B T)
        seen = torch.cat([torch.ones(count * length, before, device=device), own], dim=1).bool()  # (B T, before + B T)
        lowest = torch.finfo(self._model.dtype).min
        mask = torch.zeros(seen.shape, dtype=self._model.dtype, device=device).masked_fill(~seen, lowest)
        place = torch.arange(length, device=device)
        found = logits_at(
            self._model,
            tokens.reshape(1, -1),
            (torch.arange(count, device=device)[:, None] * length + kept).flatten(),  # (B K,)
            forked(prefix, 1),
            attention_mask=mask[None, None],
            position_ids=(before + place).repeat(count)[None],
        )
        return found.view(count, len(kept), -1)
