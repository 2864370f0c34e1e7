"""Retention, the mixer of RetNet."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.chunks import decayed_sums
from local_models.mixers.base import (
    Mixer,
    check_heads,
    full_precision,
    join_heads,
    linear,
    rotated,
    split_heads,
)

# The rotation of queries and keys per token, from the fastest to the slowest pair.
_SLOWEST = 1e-4
# Small: the norm should remove the scale entirely.
_EPS = 1e-6


@architecture("retnet", "retention: linear attention with a fixed decay per head (Sun et al. 2023)")
@architecture(
    "retnet-reduced", "retention without rotation, norm and scale (Bhattamishra et al. 2024)", published=False
)
class Retention(Mixer):
    """S_t = gamma_h S_{t-1} + k_t v_t^T, o_t = S_t^T q_t with gamma_h = 1 - 2^(-5-h), queries and keys rotated by
    position, a norm for each head and a gate (Sun et al. 2023).

    `published=False` is the reduced version of Bhattamishra et al. 2024: no rotation, norm or scale.
    """

    def __init__(self, width: int, layers: int, heads: int = 4, published: bool = True) -> None:
        super().__init__(width, layers)
        check_heads(width, heads)
        self.heads, self.published = heads, published
        gain = 2**-2.5 if published else 1.0
        self.inside = linear(width, 4 * width, bias=False)
        self.outside = linear(width, width, bias=False)
        for part in self.inside.weight.chunk(4):
            nn.init.xavier_uniform_(part, gain)
        nn.init.xavier_uniform_(self.outside.weight, 0.5 if published else 1.0)
        self.register_buffer("log_gamma", torch.log1p(-(2.0 ** (-5 - torch.arange(heads)))))
        self.log_gamma: Tensor

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        q, k, v, gate = self._projected(x, torch.arange(length, device=x.device))
        with full_precision(v) as values:
            log_decay = self.log_gamma.to(values.dtype).unsqueeze(-1).expand(-1, length)  # (H, T)
            mixed = decayed_sums(q.to(values.dtype), k.to(values.dtype), values, log_decay)  # (B, H, T, P)
        return self._finished(mixed.to(v.dtype), gate)

    def initial_state(self, batch: int) -> tuple[Tensor, int]:
        """The decayed sum of outer products, (B, H, P, P), and the position."""
        size = self.width // self.heads
        return self.like(batch, self.heads, size, size), 0

    def step(self, x: Tensor, state: tuple[Tensor, int]) -> tuple[Tensor, tuple[Tensor, int]]:
        memory, position = state
        now = torch.tensor([position], device=x.device)
        q, k, v, gate = self._projected(x.unsqueeze(1), now)  # (B, H, 1, P), the gate (B, 1, D)
        memory = self.log_gamma.exp().reshape(-1, 1, 1) * memory + k.transpose(-1, -2) @ v  # (B, H, P, P)
        return self._finished(q @ memory, gate).squeeze(1), (memory, position + 1)

    def _projected(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, H, T, P) each, and the gate, (B, T, D)."""
        *parts, gate = self.inside(x).chunk(4, -1)
        q, k, v = (split_heads(part, self.heads) for part in parts)
        if self.published:
            # bfloat16 cannot represent all positions beyond 256.
            with full_precision(q) as precise:
                turn = _SLOWEST ** torch.linspace(0, 1, q.shape[-1] // 2, dtype=precise.dtype, device=q.device)
                angles = positions.to(precise.dtype).unsqueeze(1) * turn  # (T, P / 2)
                q, k = rotated(precise, angles), rotated(k.to(precise.dtype), angles) / math.sqrt(q.shape[-1])
        return q, k, v, gate

    def _finished(self, mixed: Tensor, gate: Tensor) -> Tensor:
        if self.published:
            mixed = F.rms_norm(mixed, mixed.shape[-1:], eps=_EPS)
        return self.outside(F.silu(gate) * join_heads(mixed))
