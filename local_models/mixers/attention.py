"""Softmax attention, as in GPT-2."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models.architectures import architecture
from local_models.mixers.base import (
    Mixer,
    check_heads,
    full_precision,
    join_heads,
    linear,
    rotated,
    spaced,
    split_heads,
)

Cache = tuple[Tensor, Tensor]

# How tokens' places reach attention: a learned table added to the input, not at all, by turning queries and keys, or by
# a penalty on distance.
POSITIONS = ("learned", "none", "rope", "alibi")
# The rotation per token, from the fastest to the slowest pair, of rotary positions.
_BASE = 10000.0


@architecture("transformer", "softmax attention, as in GPT-2 (Vaswani et al. 2017)")
class Attention(Mixer):
    """y_t = sum over i <= t of softmax_i(q_t · k_i / sqrt(P)) v_i, in heads (Vaswani et al. 2017).

    `positions`: `learned` (a table, for a maximum length), `none` (the causal mask alone), `rope` (queries and keys
    turned by angles that grow with the place, so that scores depend on distances; Su et al. 2021) or `alibi` (the
    scores of head h = 1 … H are lowered by 2^(-8 h / H) times the distance; Press et al. 2021).
    """

    has_weights = True

    def __init__(self, width: int, layers: int, heads: int = 4, positions: str = "learned") -> None:
        super().__init__(width, layers)
        check_heads(width, heads)
        if positions not in POSITIONS:
            raise ValueError(f"positions={positions} is unknown: positions are {', '.join(POSITIONS)}")
        self.heads, self.positions = heads, positions
        self.needs_positions = positions == "learned"  # type: ignore[misc]
        self.inside = linear(width, 3 * width)
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._projected(x)
        bias = self._bias(q, k) if self.positions == "alibi" else None
        mixed = _attended(q, k, v, bias)  # (B, H, T, P)
        return self.outside(join_heads(mixed + self.momentum(v)))

    def with_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Without the fused kernel, which does not return attention weights."""
        q, k, v = self._projected(x)
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])  # (B, H, T, T)
        weights = (scores + self._bias(q, k)).softmax(-1)
        return self.outside(join_heads(weights @ v + self.momentum(v))), weights

    def initial_state(self, batch: int) -> Cache:
        """The keys and the values so far, (B, H, T, P) each."""
        empty = self.like(batch, self.heads, 0, self.width // self.heads)
        return empty, empty

    def step(self, x: Tensor, state: Cache) -> tuple[Tensor, Cache]:
        q, k, v = self._projected(x.unsqueeze(1), state[0].shape[2])  # (B, H, 1, P) each
        keys, values = torch.cat([state[0], k], 2), torch.cat([state[1], v], 2)  # (B, H, T, P)
        bias = self._bias(q, keys) if self.positions == "alibi" else None
        mixed = F.scaled_dot_product_attention(q, keys, values, attn_mask=bias)  # (B, H, 1, P)
        mixed = mixed + self.momentum(values)[:, :, -1:]
        return self.outside(join_heads(mixed)).squeeze(1), (keys, values)

    def momentum(self, values: Tensor) -> Tensor:
        """The term added to each head's output, from the values (B, H, T, P); 0 without momentum."""
        return values.new_zeros(1, 1, 1, 1)

    def _projected(self, x: Tensor, first: int = 0) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of tokens from place `first` on, (B, H, T, P) each."""
        q, k, v = (split_heads(part, self.heads) for part in self.inside(x).chunk(3, -1))
        if self.positions != "rope":
            return q, k, v
        # bfloat16 cannot represent all places beyond 256.
        with full_precision(q) as precise:
            turn = _BASE ** -spaced(0, 1, q.shape[-1] // 2 + 1)[:-1].to(precise)  # (P / 2,)
            places = torch.arange(first, first + x.shape[1], device=x.device).unsqueeze(1)
            q, k = (rotated(part.to(precise.dtype), places * turn).to(v.dtype) for part in (q, k))
        return q, k, v

    def _bias(self, q: Tensor, k: Tensor) -> Tensor:
        """What is added to the scores of the last queries and all keys, -inf for later keys: (1 or H, Q, T)."""
        places = torch.arange(k.shape[2], device=k.device)
        distance = places[-q.shape[2] :].unsqueeze(1) - places  # (Q, T)
        slopes = torch.zeros(1, device=k.device)
        if self.positions == "alibi":
            slopes = 2.0 ** (-8 / self.heads * torch.arange(1, self.heads + 1, device=k.device))
        return (-slopes.reshape(-1, 1, 1) * distance).masked_fill(distance < 0, -math.inf).to(q.dtype)


def _attended(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Softmax attention, causal where there is no bias. In float32 on a CPU, whose kernel is three times slower in
    bfloat16.
    """
    if q.is_cuda or q.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None)
    with full_precision(q):
        q, k, v = q.float(), k.float(), v.float()
        bias = None if bias is None else bias.float()
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None).to(torch.bfloat16)
