"""The model around every mixer: residual blocks between a linear read-in and a linear read-out."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from local_models.architectures import find
from local_models.mixers.base import Mixer, State, linear

# Standard deviation of learned positions at the start. With 0.2 a small transformer learns faster than with 0.02.
_POSITIONS = 0.2


@dataclass(frozen=True)
class Shape:
    """The complete specification of a model. `tokens` is the maximum sequence length for architectures with a table of
    positions, or filters of fixed length (Hyena). `options` go to the mixers.
    """

    architecture: str
    inputs: int
    outputs: int = 1
    width: int = 64
    layers: int = 3
    tokens: int = 512
    options: Mapping[str, Any] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        return asdict(self)


class Network(nn.Module):
    """(B, T, inputs) → (B, T, outputs), causal.

    With `every`, only the outputs at tokens 0, every, 2 every, … are computed.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    @abstractmethod
    def forward(self, inputs: Tensor, every: int = 1) -> Tensor: ...

    @property
    @abstractmethod
    def longest(self) -> int | None:
        """The maximum number of tokens; None without limit."""

    @abstractmethod
    def attention(self, inputs: Tensor) -> dict[int, Tensor]:
        """The attention weights (B, H, T, T) of each layer with attention heads."""


class Block(nn.Module):
    """x + mixer(norm(x)), then x + mlp(norm(x)), as GPT-2 has it."""

    def __init__(self, mixer: Mixer) -> None:
        super().__init__()
        width = mixer.width
        self.mixer = mixer
        self.before_mixer, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(linear(width, 4 * width), nn.GELU(), mixer.output_projection(4 * width))

    def forward(self, x: Tensor, every: int = 1) -> Tensor:
        x = (x + self.mixer(self.before_mixer(x)))[:, ::every]  # (B, T / every, D)
        return x + self.mlp(self.before_mlp(x))

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        mixed, state = self.mixer.step(self.before_mixer(x), state)
        x = x + mixed
        return x + self.mlp(self.before_mlp(x)), state


class Backbone(Network):
    """A network of residual blocks; all parameters are trained."""

    def __init__(self, shape: Shape) -> None:
        """Raises ValueError for an unknown architecture or option."""
        super().__init__(shape)
        mixers = find(shape.architecture).build(shape.width, shape.layers, shape.tokens, shape.options)
        # Inputs are a few numbers of size 1: scale the read-in such that the residual stream starts with size 1.
        self.read_in = linear(shape.inputs, shape.width)
        # In a hybrid, recurrent layers encode the order.
        needs_positions = all(mixer.needs_positions for mixer in mixers)
        table = _POSITIONS * torch.randn(shape.tokens, shape.width)
        self.positions = nn.Parameter(table) if needs_positions else None
        self.blocks = nn.ModuleList(Block(mixer) for mixer in mixers)
        self.norm = nn.LayerNorm(shape.width)
        self.read_out = linear(shape.width, shape.outputs)

    def forward(self, inputs: Tensor, every: int = 1) -> Tensor:
        """Raises ValueError for a sequence longer than the table of positions."""
        x = self._stream(inputs)
        *blocks, last = self.blocks
        for block in blocks:
            x = block(x)
        return self.read_out(self.norm(last(x, every)))

    def attention(self, inputs: Tensor) -> dict[int, Tensor]:
        found = {}
        x = self._stream(inputs)
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        for layer, block in enumerate(blocks):
            if block.mixer.has_weights:
                found[layer] = block.mixer.with_weights(block.before_mixer(x))[1]  # (B, H, T, T)
            x = block(x)
        return found

    def unroll(self, inputs: Tensor) -> Tensor:
        """The same, one token at a time. Raises NotImplementedError if a mixer has no recurrent form."""
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        states = [block.mixer.initial_state(len(inputs)) for block in blocks]
        outputs = []
        for t, token in enumerate(inputs.unbind(1)):
            x = self.read_in(token)  # (B, D)
            if self.positions is not None:
                self._check_length(t + 1)
                x = x + self.positions[t]
            for i, block in enumerate(blocks):
                x, states[i] = block.step(x, states[i])
            outputs.append(self.read_out(self.norm(x)))
        return torch.stack(outputs, 1)  # (B, T, outputs)

    @property
    def longest(self) -> int | None:
        bounded = any(block.mixer.bounded for block in self.blocks if isinstance(block, Block))
        return self.shape.tokens if bounded or self.positions is not None else None

    def _stream(self, inputs: Tensor) -> Tensor:
        x = self.read_in(inputs)  # (B, T, D)
        if self.positions is None:
            return x
        self._check_length(inputs.shape[1])
        return x + self.positions[: inputs.shape[1]]

    def _check_length(self, tokens: int) -> None:
        if tokens > self.shape.tokens:
            raise ValueError(
                f"a sequence of {tokens} tokens is longer than the model's table of positions, which has "
                f"{self.shape.tokens}"
            )


def parameter_count(model: nn.Module) -> int:
    """The number of parameters. (Key biases of attention and half of an LSTM's biases are redundant.)"""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def width_for(shape: Shape, parameters: int, multiple: int = 8) -> int:
    """The width, a multiple of `multiple`, that matches a number of parameters best.

    Raises ValueError if no width is within a factor of two.
    """
    counts: dict[int, int] = {}
    for width in range(multiple, 4096, multiple):
        try:
            with torch.device("meta"):
                counts[width] = parameter_count(Backbone(Shape(**{**shape.record(), "width": width})))
        except ValueError:  # not divisible into heads
            continue
        if counts[width] > parameters:  # the count grows with the width
            break
    if not counts:
        raise ValueError(f"{shape.architecture} has no width up to 4096 with these options")
    best = min(counts, key=lambda width: abs(counts[width] - parameters))
    if not parameters / 2 <= counts[best] <= 2 * parameters:
        few = "few" if counts[best] > parameters else "many"
        raise ValueError(
            f"{parameters} parameters are too {few} for {shape.architecture} with {shape.layers} layers: the nearest "
            f"has {counts[best]}"
        )
    return best
