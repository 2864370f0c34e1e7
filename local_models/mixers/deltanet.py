"""DeltaNet and gated DeltaNet: linear attention with the delta rule, and with decay."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.chunks import delta_rule
from local_models.mixers.base import (
    Mixer,
    ShortConvolution,
    check_heads,
    full_precision,
    inverse_softplus,
    join_heads,
    linear,
    log_uniform,
    normalised,
    special,
    split_heads,
)

Memory = tuple[Tensor, Tensor]


@architecture("deltanet", "linear attention with the delta rule (Yang et al. 2024)", gated=False)
@architecture("gated-deltanet", "DeltaNet with decay (Yang et al. 2024)")
@architecture(
    "gated-deltanet-negative", "gated DeltaNet with eigenvalues down to -1 (Grazzi et al. 2024)", negative=True
)
class DeltaNet(Mixer):
    """S_t = a_t (1 - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T, o_t = S_t^T q_t with keys of length 1, a gate and a norm
    for each head (Yang et al. 2024).

    With `gated` a_t is a learned decay (gated DeltaNet), else a_t = 1. With `negative` b_t goes up to 2: the state's
    eigenvalues range from -1 to 1, which parity requires (Grazzi et al. 2024); else b_t is at most 1.
    """

    def __init__(self, width: int, layers: int, heads: int = 4, gated: bool = True, negative: bool = False) -> None:
        super().__init__(width, layers)
        check_heads(width, heads)
        self.heads, self.gated, self.max_write = heads, gated, 2.0 if negative else 1.0
        self.inside = linear(width, 4 * width, bias=False)
        self.short = ShortConvolution(3 * width, 4, bias=False)
        self.rates = linear(width, 2 * heads if gated else heads, bias=False)
        if gated:
            self.log_decay = special(nn.Parameter(torch.log(torch.empty(heads).uniform_(1e-4, 16))))
            self.step_bias = special(nn.Parameter(inverse_softplus(log_uniform(heads, 1e-3, 1e-1).clamp(min=1e-4))))
        self.norm = nn.RMSNorm(width // heads, eps=1e-6)
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        *mixed, gate = self.inside(x).chunk(4, -1)  # (B, T, D) each
        q, k, v = self._keyed(F.silu(self.short(torch.cat(mixed, -1))))  # (B, H, T, P) each
        write, log_decay = self._gates(x)  # (B, T, H) each
        with full_precision(v) as values:
            q, k = q.to(values.dtype), k.to(values.dtype)
            write = write.to(values.dtype).transpose(1, 2)  # (B, H, T)
            mixed_values = delta_rule(q, k, values, write, log_decay.transpose(1, 2))  # (B, H, T, P)
        return self._finished(join_heads(mixed_values.to(x.dtype)), gate)

    def initial_state(self, batch: int) -> Memory:
        """The memory (B, H, P, P), and the state of the short convolution."""
        size = self.width // self.heads
        return self.like(batch, self.heads, size, size), self.short.initial_state(batch)

    def step(self, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        memory, recent = state
        *mixed, gate = self.inside(x).chunk(4, -1)
        convolved, recent = self.short.step(torch.cat(mixed, -1), recent)  # (B, 3 D)
        q, k, v = (part.squeeze(2) for part in self._keyed(F.silu(convolved).unsqueeze(1)))  # (B, H, P)
        write, log_decay = self._gates(x)  # (B, H) each
        memory = log_decay.exp().reshape(*log_decay.shape, 1, 1) * memory  # (B, H, P, P)
        remembered = (k.unsqueeze(-2) @ memory).squeeze(-2)  # (B, H, P)
        memory = memory + k.unsqueeze(-1) * (write.unsqueeze(-1) * (v - remembered)).unsqueeze(-2)  # (B, H, P, P)
        read = (q.unsqueeze(-2) @ memory).squeeze(-2).flatten(1)  # (B, D)
        return self._finished(read, gate), (memory, recent)

    def _keyed(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, H, T, P) each; keys have length 1."""
        q, k, v = (split_heads(part, self.heads) for part in mixed.chunk(3, -1))
        return F.normalize(q, dim=-1) / math.sqrt(q.shape[-1]), F.normalize(k, dim=-1), v

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """b and log a, (..., H) each, at least in float32."""
        rates = self.rates(x)
        rates = rates.float() if rates.dtype in (torch.bfloat16, torch.float16) else rates
        write = self.max_write * rates[..., : self.heads].sigmoid()
        if not self.gated:
            return write, torch.zeros_like(write)
        return write, -self.log_decay.exp() * F.softplus(rates[..., self.heads :] + self.step_bias)

    def _finished(self, mixed: Tensor, gate: Tensor) -> Tensor:
        # (..., H, P), and back to (..., D)
        normed = normalised(self.norm, mixed.unflatten(-1, (self.heads, -1))).flatten(-2)
        return self.outside(normed * F.silu(gate))
