"""Softmax attention, as in GPT-2."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models.mixers.base import Mixer, check_heads, join_heads, linear, split_heads

Cache = tuple[Tensor, Tensor]


class Attention(Mixer):
    """y_t = sum over i <= t of softmax_i(q_t · k_i / sqrt(d)) v_i, in heads (Vaswani et al. 2017)."""

    needs_positions = True

    def __init__(self, width: int, layers: int, heads: int = 4) -> None:
        super().__init__(width, layers)
        check_heads(width, heads)
        self.heads = heads
        self.inside = linear(width, 3 * width)
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._projected(x)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.outside(join_heads(mixed + self.momentum(v)))

    def with_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same, and the attention weights [B, h, T, T], which the fused kernel does not tell."""
        q, k, v = self._projected(x)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        weights = scores.masked_fill(~past, -math.inf).softmax(-1)
        return self.outside(join_heads(weights @ v + self.momentum(v))), weights

    def initial_state(self, batch: int) -> Cache:
        """The keys and the values so far, [B, h, t, d] each."""
        empty = self.like(batch, self.heads, 0, self.width // self.heads)
        return empty, empty

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        q, k, v = self._projected(x.unsqueeze(1))
        keys, values = torch.cat([state[0], k], 2), torch.cat([state[1], v], 2)
        mixed = F.scaled_dot_product_attention(q, keys, values) + self.momentum(values)[:, :, -1:]
        return self.outside(join_heads(mixed)).squeeze(1), (keys, values)

    def momentum(self, values: Tensor) -> Tensor:
        """What is added to each head's output, from the values [B, h, T, d]: nothing, without momentum."""
        return values.new_zeros(1, 1, 1, 1)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (split_heads(part, self.heads) for part in self.inside(x).chunk(3, -1))
        return q, k, v
