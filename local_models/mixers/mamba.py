"""Mamba: a state space whose step, input and output depend on the token."""

import math

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.mixers.base import (
    Mixer,
    ShortConvolution,
    full_precision,
    inverse_softplus,
    linear,
    log_uniform,
    special,
)
from local_models.selective_scan import selective_scan

Memory = tuple[Tensor, Tensor]


@architecture("mamba", "a state space whose step, input and output depend on the token (Gu & Dao 2023)")
class Mamba(Mixer):
    """h_t = exp(dt_t A) h_{t-1} + dt_t x_t B_t, y_t = C_t h_t + D x_t with dt, B and C from the token, with a short
    convolution and a gate (Gu & Dao 2023). Every channel and state has its own decay, which requires a scan over
    tokens. E = expand D are its channels.
    """

    def __init__(self, width: int, layers: int, states: int = 16, expand: int = 2) -> None:
        super().__init__(width, layers)
        inner = expand * width
        self.rank = math.ceil(width / 16)
        self.states = states
        self.inside = linear(width, 2 * inner, bias=False)
        self.short = ShortConvolution(inner, 4)
        self.select = linear(inner, self.rank + 2 * states, bias=False)
        self.step_weight = nn.Parameter(torch.empty(inner, self.rank).uniform_(-1, 1) * self.rank**-0.5)
        self.step_bias = special(nn.Parameter(inverse_softplus(log_uniform(inner, 1e-3, 1e-1).clamp(min=1e-4))))
        self.log_decay = special(nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(inner, 1)))
        self.direct = special(nn.Parameter(torch.ones(inner)))
        self.outside = self.output_projection(inner)

    def forward(self, x: Tensor) -> Tensor:
        inputs, gate = self.inside(x).chunk(2, -1)  # (B, T, E) each
        inputs = F.silu(self.short(inputs))
        with full_precision(inputs) as precise:
            step, write, read = self._selected(precise)
            y = selective_scan(precise, step, self.log_decay.exp(), write, read) + self.direct * precise  # (B, T, E)
        return self.outside(y.to(x.dtype) * F.silu(gate))

    def initial_state(self, batch: int) -> Memory:
        """The state (B, E, N), and the state of the short convolution."""
        return self.like(batch, len(self.direct), self.states), self.short.initial_state(batch)

    def step(self, x: Tensor, state: Memory) -> tuple[Tensor, Memory]:
        memory, recent = state
        inputs, gate = self.inside(x).chunk(2, -1)
        inputs, recent = self.short.step(inputs, recent)
        inputs = F.silu(inputs)
        step, write, read = self._selected(inputs)
        decay = torch.exp(-step.unsqueeze(-1) * self.log_decay.exp())  # (B, E, N)
        memory = decay * memory + (step * inputs).unsqueeze(-1) * write.unsqueeze(-2)
        y = (memory @ read.unsqueeze(-1)).squeeze(-1) + self.direct * inputs  # (B, E)
        return self.outside(y * F.silu(gate)), (memory, recent)

    def _selected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The step dt, (..., E), and B and C, (..., N), for inputs (..., E)."""
        step, write, read = self.select(x).split([self.rank, self.states, self.states], -1)
        return F.softplus(F.linear(step, self.step_weight, self.step_bias)), write, read
