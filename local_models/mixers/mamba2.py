"""Mamba-2: Mamba with one decay per head, a kind of linear attention."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.chunks import decayed_sums
from local_models.mixers.base import (
    Mixer,
    ShortConvolution,
    full_precision,
    inverse_softplus,
    linear,
    log_uniform,
    normalised,
    special,
)

Memory = tuple[Tensor, Tensor]


@architecture("mamba2", "Mamba with one decay per head, a kind of linear attention (Dao & Gu 2024)")
class Mamba2(Mixer):
    """S_t = a_t S_{t-1} + B_t (dt_t x_t)^T, y_t = S_t^T C_t + D x_t with a_t = exp(-exp(A) dt_t) for each head; B and C
    are shared by the heads (Dao & Gu 2024).
    """

    def __init__(self, width: int, layers: int, states: int = 32, head_width: int = 32, expand: int = 2) -> None:
        super().__init__(width, layers)
        inner = expand * width
        if inner % head_width:
            raise ValueError(f"{inner} channels do not divide into heads of {head_width}")
        self.heads, self.states, self.inner = inner // head_width, states, inner
        self.inside = linear(width, 2 * inner + 2 * states + self.heads, bias=False)
        self.short = ShortConvolution(inner + 2 * states, 4)
        self.step_bias = special(nn.Parameter(inverse_softplus(log_uniform(self.heads, 1e-3, 1e-1).clamp(min=1e-4))))
        self.log_decay = special(nn.Parameter(torch.log(torch.empty(self.heads).uniform_(1, 16))))
        self.direct = special(nn.Parameter(torch.ones(self.heads)))
        self.norm = nn.RMSNorm(inner, eps=1e-5)
        self.outside = self.output_projection(inner)

    def forward(self, x: Tensor) -> Tensor:
        gate, mixed, step = self._projected(x)
        inputs, write, read = self._divided(F.silu(self.short(mixed)))  # (B, T, H, P), (B, T, N) twice
        with full_precision(inputs) as precise:
            step = F.softplus(step.to(precise.dtype) + self.step_bias)  # (B, T, H)
            log_decay = (-self.log_decay.exp() * step).transpose(1, 2)  # (B, H, T)
            # (B, 1, T, N): all heads have the same.
            read, write = (part.to(precise.dtype).unsqueeze(1) for part in (read, write))
            heads = precise.transpose(1, 2)  # (B, H, T, P)
            y = decayed_sums(read, write, heads * step.transpose(1, 2).unsqueeze(-1), log_decay)  # (B, H, T, P)
            y = (y + self.direct.reshape(-1, 1, 1) * heads).transpose(1, 2).flatten(2)  # (B, T, H P)
        return self.outside(normalised(self.norm, y.to(x.dtype) * F.silu(gate)))

    def initial_state(self, batch: int) -> Memory:
        """The state (B, H, N, P), and the state of the short convolution."""
        return self.like(batch, self.heads, self.states, self.inner // self.heads), self.short.initial_state(batch)

    def step(self, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        memory, recent = state
        gate, mixed, step = self._projected(x)
        mixed, recent = self.short.step(mixed, recent)
        inputs, write, read = self._divided(F.silu(mixed))  # (B, H, P), (B, N), (B, N)
        step = F.softplus(step + self.step_bias).unsqueeze(-1)  # (B, H, 1)
        decay = torch.exp(-self.log_decay.exp().unsqueeze(-1) * step).unsqueeze(-1)  # (B, H, 1, 1)
        written = write.reshape(len(x), 1, -1, 1) * (step * inputs).unsqueeze(-2)  # (B, H, N, P)
        memory = decay * memory + written
        y = (read.unsqueeze(1).unsqueeze(1) @ memory).squeeze(-2)  # (B, H, P)
        y = y + self.direct.unsqueeze(-1) * inputs
        return self.outside(normalised(self.norm, y.flatten(1) * F.silu(gate))), (memory, recent)

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gate, mixed, step = self.inside(x).split([self.inner, self.inner + 2 * self.states, self.heads], -1)
        return gate, mixed, step

    def _divided(self, mixed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inputs, write, read = mixed.split([self.inner, self.states, self.states], -1)
        return inputs.unflatten(-1, (self.heads, -1)), write, read
