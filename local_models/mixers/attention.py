"""Softmax attention, as in GPT-2."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models.architectures import architecture
from local_models.mixers.base import Mixer, check_heads, join_heads, linear, split_heads

Cache = tuple[Tensor, Tensor]


@architecture("transformer", "softmax attention, as in GPT-2 (Vaswani et al. 2017)")
class Attention(Mixer):
    """y_t = sum over i <= t of softmax_i(q_t · k_i / sqrt(P)) v_i, in heads (Vaswani et al. 2017)."""

    needs_positions = True
    has_weights = True

    def __init__(self, width: int, layers: int, heads: int = 4) -> None:
        super().__init__(width, layers)
        check_heads(width, heads)
        self.heads = heads
        self.inside = linear(width, 3 * width)
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._projected(x)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, P)
        return self.outside(join_heads(mixed + self.momentum(v)))

    def with_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Without the fused kernel, which does not return attention weights."""
        q, k, v = self._projected(x)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # (B, H, T, T)
        past = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()  # (T, T)
        weights = scores.masked_fill(~past, -math.inf).softmax(-1)
        return self.outside(join_heads(weights @ v + self.momentum(v))), weights

    def initial_state(self, batch: int) -> Cache:
        """The keys and the values so far, (B, H, T, P) each."""
        empty = self.like(batch, self.heads, 0, self.width // self.heads)
        return empty, empty

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        q, k, v = self._projected(x.unsqueeze(1))  # (B, H, 1, P) each
        keys, values = torch.cat([state[0], k], 2), torch.cat([state[1], v], 2)  # (B, H, T, P)
        mixed = F.scaled_dot_product_attention(q, keys, values)  # (B, H, 1, P)
        mixed = mixed + self.momentum(values)[:, :, -1:]
        return self.outside(join_heads(mixed)).squeeze(1), (keys, values)

    def momentum(self, values: Tensor) -> Tensor:
        """The term added to each head's output, from the values (B, H, T, P); 0 without momentum."""
        return values.new_zeros(1, 1, 1, 1)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, H, T, P) each."""
        q, k, v = (split_heads(part, self.heads) for part in self.inside(x).chunk(3, -1))
        return q, k, v
