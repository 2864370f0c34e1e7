"""Diagonal linear state spaces: S4D and DSS."""

import math
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.mixers.base import Mixer, causal_convolution, exponential_sums, full_precision, log_uniform, special

# The maximum learning rate of eigenvalues and steps, as in the authors' code.
_MAX_RATE = 1e-3


class DiagonalStateSpace(Mixer):
    """x' = A x + u, y = Re(C x) + D u with a diagonal complex A, made discrete with a step dt for each channel.

    s_t = exp(dt A) s_{t-1} + u_t and y_t = Re(C (exp(dt A) - 1) / A · s_t) + D u_t (zero-order hold), which over a
    whole sequence is one convolution. A subclass chooses A (D or 1, N) and the standard deviation of the parts of C at
    the start.
    """

    def __init__(
        self, width: int, layers: int, eigenvalues: Tensor, slowest: float, fastest: float, std: float,
        read_out_max_rate: float | None = None,
    ) -> None:  # fmt: skip
        super().__init__(width, layers)
        states = eigenvalues.shape[-1]
        # Stored as logarithms, which keeps the real parts negative.
        self.log_real = special(nn.Parameter(torch.log(-eigenvalues.real)), _MAX_RATE)
        self.imaginary = special(nn.Parameter(eigenvalues.imag.clone()), _MAX_RATE)
        self.log_step = special(nn.Parameter(torch.log(log_uniform(width, slowest, fastest))), _MAX_RATE)
        # Real and imaginary parts in the last dimension: optimisers require real parameters.
        self.read_out = special(nn.Parameter(std * torch.randn(width, states, 2)), read_out_max_rate)
        self.direct = special(nn.Parameter(torch.randn(width)))
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        with full_precision(x) as inputs:
            y = causal_convolution(inputs, self.kernel(x.shape[1])) + self.direct * inputs  # (B, T, D)
        return self.outside(torch.nn.functional.gelu(y.to(x.dtype)))

    def kernel(self, length: int) -> Tensor:
        """(T, D)."""
        step, read_out = self._discrete()
        return exponential_sums(read_out, step, length)

    def initial_state(self, batch: int) -> Tensor:
        """(B, D, N), complex."""
        return torch.complex(*(self.like(batch, self.width, self.read_out.shape[1]) for _ in range(2)))

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        step, read_out = self._discrete()
        state = torch.exp(step) * state + x.unsqueeze(-1)  # (B, D, N)
        y = (read_out * state).sum(-1).real + self.direct * x  # (B, D)
        return self.outside(torch.nn.functional.gelu(y)), state

    def _discrete(self) -> tuple[Tensor, Tensor]:
        """dt A, and C (exp(dt A) - 1) / A, (D, N) each, complex."""
        eigenvalues = torch.complex(-self.log_real.exp(), self.imaginary)
        step = self.log_step.exp().unsqueeze(-1) * eigenvalues
        return step, torch.view_as_complex(self.read_out) * torch.expm1(step) / eigenvalues


@architecture("s4d", "a diagonal state space, S4D-Lin (Gu et al. 2022)")
class S4D(DiagonalStateSpace):
    """S4D-Lin (Gu et al. 2022): A_n = -1/2 + i pi n for each channel, in conjugate pairs, of which one is stored; so C
    is initialised as twice a complex normal number.
    """

    def __init__(self, width: int, layers: int, states: int = 64, slowest: float = 1e-3, fastest: float = 1e-1) -> None:
        frequencies = math.pi * torch.arange(states // 2)
        eigenvalues = torch.complex(torch.full((states // 2,), -0.5), frequencies)
        super().__init__(width, layers, eigenvalues.expand(width, -1).clone(), slowest, fastest, std=math.sqrt(2))


@architecture("dss", "a diagonal state space with eigenvalues of HiPPO, DSS-exp (Gupta et al. 2022)")
class DSS(DiagonalStateSpace):
    """DSS-exp (Gupta et al. 2022): A are the eigenvalues of the skew part of HiPPO, shared by all channels.

    With `softmax` the kernel's terms are normalised over the length of the sequence, as in the version of
    Bhattamishra et al. 2024: the filter then depends on the length, so there is no recurrent form, and earlier outputs
    change when a sequence grows.
    """

    def __init__(
        self, width: int, layers: int, states: int = 64, slowest: float = 1e-3, fastest: float = 1e-1,
        softmax: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(width, layers, hippo_eigenvalues(states).unsqueeze(0), slowest, fastest, 1.0, _MAX_RATE)
        self.softmax = softmax
        self.recurrent = not softmax  # type: ignore[misc]

    def kernel(self, length: int) -> Tensor:
        if not self.softmax:
            return super().kernel(length)
        step, read_out = self._discrete()
        # The zero-order hold's exp(dt A) - 1 is replaced by the sum of a term's powers, a geometric series.
        return exponential_sums(read_out / torch.expm1(length * step), step, length)

    def initial_state(self, batch: int) -> Tensor:
        if self.softmax:
            raise NotImplementedError("DSS with softmax has no recurrent form: its filter depends on the length")
        return super().initial_state(batch)


@cache
def hippo_eigenvalues(states: int) -> Tensor:
    """The eigenvalues of the normal part of HiPPO-LegS with positive imaginary part: -1/2 + i w, (states,), complex."""
    size = 2 * states
    root = np.sqrt(2 * np.arange(size) + 1)
    lower = -np.tril(np.outer(root, root), -1)
    frequencies = np.linalg.eigvals((lower - lower.T) / 2).imag
    chosen = np.sort(frequencies[frequencies > 0])
    return torch.from_numpy((-0.5 + 1j * chosen).astype(np.complex64))
