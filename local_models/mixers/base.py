"""The base class of sequence mixers, and common components.

Notation, here and wherever shapes are given: B batch, T tokens, D width, H heads, P width of a head, N states, C
channels. All mixers are causal maps from (B, T, D) to (B, T, D).
"""

import itertools
import math
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

# A mixer's recurrent state; opaque to others.
State = Any


class Mixer(nn.Module):
    """A causal sequence mixer: passes information from earlier to later tokens.

    `width` is D, `layers` the depth of the model: contributions to the residual stream are scaled down by the square
    root of their number.
    """

    # Whether the model adds learned positions to its input, for mixers that are otherwise order-invariant.
    needs_positions: ClassVar[bool] = False
    # Whether a sequence has a maximum length, which the constructor then takes as `longest`.
    bounded: ClassVar[bool] = False
    # Whether there is a recurrent form: the same output, one token at a time, from a state of a fixed size or a cache.
    recurrent: ClassVar[bool] = True
    # Whether there are attention weights: `with_weights`.
    has_weights: ClassVar[bool] = False

    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.width, self.layers = width, layers

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) → (B, T, D), all tokens at once."""

    def with_weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The same output, and the attention weights (B, H, T, T)."""
        raise NotImplementedError(f"{type(self).__name__} has no attention weights")

    def initial_state(self, batch: int) -> State:
        """The state before the first token."""
        raise NotImplementedError(f"{type(self).__name__} has no recurrent form")

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One token: (B, D) and a state → (B, D) and the next state."""
        raise NotImplementedError(f"{type(self).__name__} has no recurrent form")

    def unroll(self, x: Tensor) -> Tensor:
        """The recurrent form over a whole sequence, (B, T, D) → (B, T, D)."""
        state, outputs = self.initial_state(len(x)), []
        for token in x.unbind(1):
            output, state = self.step(token, state)
            outputs.append(output)
        return torch.stack(outputs, 1)  # (B, T, D)

    def like(self, *shape: int, fill: float = 0.0) -> Tensor:
        """A tensor with the dtype and device of the mixer's parameters."""
        return next(self.parameters()).new_full(shape, fill)

    def output_projection(self, width: int | None = None) -> nn.Linear:
        """The last linear map of a mixer, into the residual stream."""
        inside = width or self.width
        return linear(inside, self.width, 1 / math.sqrt(2 * self.layers * inside))


def linear(inside: int, outside: int, std: float | None = None, bias: bool = True) -> nn.Linear:
    """A linear map with normal weights and no bias at the start. By default the output has
    the scale of the input: at these widths GPT-2's 0.02 makes attention logits negligible.
    """
    layer = nn.Linear(inside, outside, bias=bias)
    nn.init.normal_(layer.weight, std=inside**-0.5 if std is None else std)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def special(parameter: nn.Parameter, max_rate: float | None = None) -> nn.Parameter:
    """Mark a parameter as exempt from weight decay, optionally with its own maximum learning rate."""
    parameter.no_decay = True  # type: ignore[attr-defined]
    if max_rate is not None:
        parameter.max_rate = max_rate  # type: ignore[attr-defined]
    return parameter


def check_heads(width: int, heads: int) -> None:
    """Raise ValueError if a width does not divide into heads of an even width."""
    if heads < 1 or width % (2 * heads):
        raise ValueError(f"a width of {width} does not divide into {heads} heads of an even width")


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, D) → (B, H, T, P)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(B, H, T, P) → (B, T, D)."""
    return x.transpose(1, 2).flatten(-2)


def decay_mask(log_decay: Tensor) -> Tensor:
    """exp of the sum of log-decays over (s, t], for s <= t, and 0 above: (..., T) → (..., T, T).

    Entries above the diagonal are masked before exp, which could overflow: infinity times 0 is NaN.
    """
    total = log_decay.cumsum(-1)
    difference = total.unsqueeze(-1) - total.unsqueeze(-2)  # (..., T, T)
    length = log_decay.shape[-1]
    past = torch.ones(length, length, dtype=torch.bool, device=log_decay.device).tril()
    return difference.masked_fill(~past, -math.inf).exp()


def causal_convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """y_t = sum over s <= t of kernel_(t-s) x_s, by FFT: (B, T, C) and (T, C) → (B, T, C)."""
    length = x.shape[1]
    # Padded: the FFT is circular.
    size = next(size for size in itertools.count(2 * length - 1) if _is_smooth(size))
    # Transposed: an FFT over neighbours in memory is faster.
    spectrum = torch.fft.rfft(x.mT.contiguous(), n=size) * torch.fft.rfft(kernel.T.contiguous(), n=size)
    return torch.fft.irfft(spectrum, n=size)[..., :length].mT  # (B, T, C)


def _is_smooth(number: int) -> bool:
    """Whether there are no prime factors above 5, for which an FFT is fast."""
    for prime in (2, 3, 5):
        while number % prime == 0:
            number //= prime
    return number == 1


def exponential_sums(weights: Tensor, exponents: Tensor, length: int) -> Tensor:
    """K_t = Re sum over n of w_n exp(t z_n) for t = 0 … T - 1, of complex (D, N) each → (T, D).

    With t = i m + j and m near the root of T, this is a matrix product of w exp(i m z) and exp(j z): 2 D N root T
    exponentials instead of D N T.
    """
    columns = math.isqrt(length - 1) + 1
    rows = math.ceil(length / columns)
    i, j = (torch.arange(count, device=weights.device).reshape(-1, 1) for count in (rows, columns))
    left = weights.unsqueeze(1) * torch.exp(i * columns * exponents.unsqueeze(1))  # (D, rows, N)
    right = torch.exp(j * exponents.conj().unsqueeze(1))  # (D, columns, N)
    # Real and imaginary parts side by side: the real part of the product without complex arithmetic.
    left, right = (torch.view_as_real(part).flatten(-2) for part in (left, right))  # (..., 2 N)
    return (left @ right.mT).flatten(1)[:, :length].T


def inverse_softplus(x: Tensor) -> Tensor:
    return x + torch.log(-torch.expm1(-x))


def spaced(low: float, high: float, count: int) -> Tensor:
    """Evenly spaced numbers, including both ends. (torch.linspace ignores the device context after transformers has
    loaded a model.)
    """
    return low + (high - low) / max(count - 1, 1) * torch.arange(count)


def log_uniform(count: int, low: float, high: float) -> Tensor:
    """Numbers whose logarithms are uniform."""
    return torch.exp(torch.rand(count) * (math.log(high) - math.log(low)) + math.log(low))


@contextmanager
def full_precision(x: Tensor) -> Iterator[Tensor]:
    """For exponentials, transforms and solves: at least float32, regardless of autocast."""
    with torch.autocast(x.device.type, enabled=False):
        yield x.float() if x.dtype in (torch.bfloat16, torch.float16) else x


def normalised(norm: nn.Module, x: Tensor) -> Tensor:
    """A normalisation whose weights are in float32, of what autocast may have made bfloat16."""
    with full_precision(x) as precise:
        result: Tensor = norm(precise)
    return result.to(x.dtype)


class ShortConvolution(nn.Module):
    """A depthwise causal convolution over the last few tokens."""

    def __init__(self, channels: int, size: int, bias: bool = True) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(torch.empty(channels, size).uniform_(-1, 1) / math.sqrt(size))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        padded = F.pad(x.transpose(1, 2), (self.size - 1, 0))  # (B, C, size - 1 + T)
        convolved = F.conv1d(padded, self.weight.unsqueeze(1), self.bias, groups=x.shape[-1])  # (B, C, T)
        return convolved.transpose(1, 2)

    def initial_state(self, batch: int) -> Tensor:
        """The inputs of the last size - 1 tokens, (B, size - 1, C)."""
        return self.weight.new_zeros(batch, self.size - 1, len(self.weight))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        window = torch.cat([state, x.unsqueeze(1)], 1)  # (B, size, C)
        y = (window * self.weight.T).sum(1)  # (B, C)
        return (y if self.bias is None else y + self.bias), window[:, 1:]


def rotated(x: Tensor, angles: Tensor) -> Tensor:
    """Turn neighbouring pairs of the last dimension by angles: (..., T, P) and (T, P / 2) → (..., T, P)."""
    pairs = x.unflatten(-1, (-1, 2))  # (..., T, P / 2, 2)
    a, b = pairs.unbind(-1)  # (..., T, P / 2) each
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
