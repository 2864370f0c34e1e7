"""Hyena: gated long convolutions with filters from a small network."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.mixers.base import (
    Mixer,
    ShortConvolution,
    causal_convolution,
    full_precision,
    linear,
    spaced,
    special,
)


@architecture("hyena", "gated long convolutions with filters from a small network (Poli et al. 2023)")
class Hyena(Mixer):
    """v, x^1 … x^N = short convolution of W u; for n = N … 2: v <- h_n * (v x^n) + b_n v x^n; y = W v x^1 (Poli et al.
    2023). The filters are functions of t / longest: beyond `longest` tokens they are not defined, which is an error.
    There is no recurrent form of fixed size.
    """

    bounded = True
    recurrent = False

    def __init__(
        self, width: int, layers: int, order: int = 2, longest: int = 512, bands: int = 1, filter_width: int = 64,
        inner: int = 2,
    ) -> None:  # fmt: skip
        super().__init__(width, layers)
        if order < 2:
            raise ValueError(f"Hyena's order must be at least 2, not {order}")
        self.order, self.longest = order, longest
        self.inside = linear(width, (order + 1) * width)
        self.short = ShortConvolution((order + 1) * width, 3)
        self.outside = self.output_projection()
        convolutions = order - 1
        sizes = [2 * bands + 1, *[filter_width] * (inner + 1)]
        self.hidden = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.frequency = special(nn.Parameter(torch.ones(filter_width)))
        self.last = nn.Linear(filter_width, convolutions * width, bias=False)
        self.bias = special(nn.Parameter(torch.randn(convolutions, width)))
        place = spaced(0, 1, longest).unsqueeze(1)
        turns = 2 * math.pi * torch.arange(longest).unsqueeze(1) / longest * spaced(1e-4, bands - 1, bands)
        self.register_buffer("features", torch.cat([place, turns.cos(), -turns.sin()], 1))
        # Decay differs by channel: to 1 % after 0.3 to 1.5 times the maximum length.
        decays = spaced(math.log(1e-2) / 1.5, math.log(1e-2) / 0.3, width)
        self.register_buffer("window", torch.exp(place * decays.repeat(convolutions)))
        self.features: Tensor
        self.window: Tensor

    def forward(self, x: Tensor) -> Tensor:
        length = x.shape[1]
        if length > self.longest:
            raise ValueError(f"a sequence of {length} tokens is longer than Hyena's filters, which have {self.longest}")
        value, *gates = self.short(self.inside(x)).chunk(self.order + 1, -1)  # (B, T, D) each
        with full_precision(x):
            filters = self.filters(length)  # (order - 1, T, D)
        for gate, taps, bias in zip(reversed(gates[1:]), filters, self.bias, strict=True):
            gated = value * gate  # (B, T, D)
            with full_precision(gated) as inputs:
                value = (causal_convolution(inputs, taps) + bias * inputs).to(gated.dtype)
        return self.outside(value * gates[0])

    def filters(self, length: int) -> Tensor:
        """(order - 1, T, D)."""
        hidden = self.features[:length]
        for layer in self.hidden:
            hidden = torch.sin(self.frequency * layer(hidden))  # (T, filter_width)
        taps = self.last(hidden) * self.window[:length]  # (T, (order - 1) D)
        return torch.stack(taps.chunk(self.order - 1, -1))
