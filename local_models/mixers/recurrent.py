"""Gated recurrent networks, from torch."""

import torch
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.mixers.base import Mixer

Hidden = tuple[Tensor, ...]


@architecture("lstm", "long short-term memory (Hochreiter & Schmidhuber 1997)")
class LSTM(Mixer):
    """Long short-term memory (Hochreiter & Schmidhuber 1997). The forget gate is open at the start."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__(width, layers)
        self.cell = nn.LSTM(width, width, batch_first=True)
        self.outside = self.output_projection()
        with torch.no_grad():
            # torch adds two biases; the second quarter of each is the forget gate's.
            biases = dict(self.cell.named_parameters())
            biases["bias_ih_l0"][width : 2 * width] = 1.0
            biases["bias_hh_l0"][width : 2 * width] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return self.outside(self.cell(x)[0])

    def initial_state(self, batch: int) -> Hidden:
        """The output and the cell, (1, B, D) each."""
        zero = self.like(1, batch, self.width)
        return zero, zero

    def step(self, x: Tensor, state: Hidden) -> tuple[Tensor, Hidden]:
        output, state = self.cell(x.unsqueeze(1), state)  # (B, 1, D)
        return self.outside(output).squeeze(1), state


@architecture("gru", "the gated recurrent unit (Cho et al. 2014)")
class GRU(Mixer):
    """The gated recurrent unit (Cho et al. 2014)."""

    def __init__(self, width: int, layers: int) -> None:
        super().__init__(width, layers)
        self.cell = nn.GRU(width, width, batch_first=True)
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        return self.outside(self.cell(x)[0])

    def initial_state(self, batch: int) -> Tensor:
        """The output, (1, B, D)."""
        return self.like(1, batch, self.width)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, state = self.cell(x.unsqueeze(1), state)  # (B, 1, D)
        return self.outside(output).squeeze(1), state
