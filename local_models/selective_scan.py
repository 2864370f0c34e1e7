"""The scan of Mamba: a state space whose step, input and output depend on the token, with its own gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Numbers in the states of a chunk; more do not stay in a processor's cache.
_STATES = 2**17


def chunk_size(batch: int, length: int, channels: int, states: int) -> int:
    """The tokens whose states are in memory at a time."""
    return min(length, max(4, min(64, _STATES // max(1, batch * channels * states))))


def selective_scan(x: Tensor, step: Tensor, rate: Tensor, write: Tensor, read: Tensor) -> Tensor:
    """h_t = exp(-dt_t A) h_{t-1} + dt_t x_t B_t, y_t = h_t C_t: inputs and steps dt (B, T, E), rates A > 0 (E, N), B
    and C (B, T, N) → (B, T, E).

    Only the states between chunks of tokens are kept; the backward pass computes those inside again, as the authors'
    kernel does (Gu & Dao 2023, §3.3.2).
    """
    y: Tensor = _SelectiveScan.apply(x, step, rate, write, read)
    return y


class _SelectiveScan(torch.autograd.Function):
    """Inside, tokens come first and channels last, the order in which memory is read: A (N, E), states (B, N, E)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: Tensor, rate: Tensor, write: Tensor, read: Tensor) -> Tensor:
        size = chunk_size(len(x), x.shape[1], *rate.shape)
        rate = rate.T.contiguous()
        sequences = [_swapped(part) for part in (x, step, write, read)]
        state, before, outputs = x.new_zeros(len(x), *rate.shape), [], []
        for u, dt, b, c in zip(*(part.split(size) for part in sequences), strict=True):
            before.append(state)
            states, _ = _scanned(state, rate, u, dt, b)
            outputs.append((c.unsqueeze(-2) @ states).squeeze(-2))  # (C, B, E)
            state = states[-1].clone()
        ctx.size = size
        ctx.save_for_backward(rate, *sequences, torch.stack(before))
        return _swapped(torch.cat(outputs))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, ...]:
        rate, *sequences, before = ctx.saved_tensors
        parts = zip(before, *(part.split(ctx.size) for part in (*sequences, _swapped(slope))), strict=True)
        rate_slope, later, slopes = torch.zeros_like(rate), torch.zeros_like(before[0]), []
        for state, u, dt, b, c, dy in reversed(list(parts)):
            states, decay = _scanned(state, rate, u, dt, b)
            # The gradient of h_t: through y_t, and through h_{t+1}.
            g = c.unsqueeze(-1) * dy.unsqueeze(-2)  # (C, B, N, E)
            gs, decays = g.unbind(), decay.unbind()
            gs[-1].add_(later)
            for t in reversed(range(len(gs) - 1)):
                gs[t].addcmul_(decays[t + 1], gs[t + 1])
            later = decays[0] * gs[0]
            driven = (b.unsqueeze(-2) @ g).squeeze(-2)  # of dt x, (C, B, E)
            write_slope = (g @ (dt * u).unsqueeze(-1)).squeeze(-1)  # (C, B, N)
            read_slope = (states @ dy.unsqueeze(-1)).squeeze(-1)  # (C, B, N)
            # Of dt A: -g_t a_t h_{t-1}.
            exponent = g.mul_(decay).neg_()
            exponent[1:].mul_(states[:-1])
            exponent[0].mul_(state)
            rate_slope += (exponent * dt.unsqueeze(-2)).sum((0, 1))
            step_slope = (exponent * rate).sum(-2) + driven * u
            slopes.append((driven * dt, step_slope, write_slope, read_slope))
        x_slope, step_slope, write_slope, read_slope = (
            _swapped(torch.cat(part[::-1])) for part in zip(*slopes, strict=True)
        )
        return x_slope, step_slope, rate_slope.T, write_slope, read_slope


def _swapped(x: Tensor) -> Tensor:
    """Batch and tokens."""
    return x.transpose(0, 1).contiguous()


def _scanned(state: Tensor, rate: Tensor, u: Tensor, dt: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The states h_t of a chunk after `state`, and their decays, (C, B, N, E) each."""
    decay = (dt.unsqueeze(-2) * -rate).exp_()
    states = b.unsqueeze(-1) * (dt * u).unsqueeze(-2)
    for a, h in zip(decay.unbind(), states.unbind(), strict=True):
        state = h.addcmul_(a, state)
    return states, decay
