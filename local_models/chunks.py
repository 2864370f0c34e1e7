"""Linear recurrences in chunks: time and memory grow linearly with the length of a sequence.

Inside a chunk every pair of tokens is compared at once; between chunks a state carries what earlier chunks wrote. One
chunk is the parallel form, chunks of one token are the recurrent form (Hua et al. 2022, Sun et al. 2023). Decays are
exponentials of differences of cumulative logarithms, never quotients of products, which underflow.

L is the number of chunks, C their tokens.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models.mixers.base import decay_mask

# Measured on a CPU: one chunk is fastest up to so many tokens, beyond that chunks of about this size.
_ONE_CHUNK, _CHUNK = 128, 32


def chunk_size(length: int) -> int:
    """The tokens of a chunk in a sequence of this length: near the fastest, with little padding in the last chunk."""
    return length if length <= _ONE_CHUNK else math.ceil(length / math.ceil(length / _CHUNK))


def decayed_sums(q: Tensor, k: Tensor, v: Tensor, log_decay: Tensor) -> Tensor:
    """S_t = a_t S_{t-1} + k_t v_t^T, y_t = S_t^T q_t: queries and keys (B, H or 1, T, N), values (B, H, T, P), and
    log a (..., T), which broadcasts to (B, H, T) → (B, H, T, P).
    """
    length = v.shape[-2]
    q, k, v, log_decay = *_in_chunks(-2, q, k, v), *_in_chunks(-1, log_decay)
    inside = (decay_mask(log_decay) * (q @ k.mT)) @ v  # (B, H, L, C, P)
    if v.shape[-3] == 1:
        return inside.squeeze(-3)
    since_start, to_end, whole = _decays(log_decay)
    written = (to_end * k).mT @ v  # (B, H, L, N, P)
    states = _before_each(torch.mul, whole, written)
    return _joined(inside + since_start * (q @ states), length)


def delta_rule(q: Tensor, k: Tensor, v: Tensor, write: Tensor, log_decay: Tensor) -> Tensor:
    """S_t = a_t (1 - b_t k_t k_t^T) S_{t-1} + b_t k_t v_t^T, y_t = S_t^T q_t: q, k and v (B, H, T, P), b and log a
    (B, H, T) → (B, H, T, P).

    The updates u_t = b_t (v_t - a_t S_{t-1}^T k_t) depend on earlier updates: in each chunk they solve a triangular
    system, for the values and for the state before the chunk (the WY representation; Yang et al. 2024).
    """
    length = v.shape[-2]
    q, k, v, write, log_decay = *_in_chunks(-2, q, k, v), *_in_chunks(-1, write, log_decay)
    decay, write = decay_mask(log_decay), write.unsqueeze(-1)  # (B, H, L, C, C), (B, H, L, C, 1)
    system = write * decay * (k @ k.mT)  # the diagonal is taken as 1
    scores = decay * (q @ k.mT)
    if v.shape[-3] == 1:
        return (scores @ _solved(system, write * v)).squeeze(-3)
    since_start, to_end, whole = _decays(log_decay)
    # u = new - erased S, where S is the state before the chunk.
    new, erased = _solved(system, torch.cat([write * v, write * since_start * k], -1)).chunk(2, -1)  # (B, H, L, C, P)
    kept = (to_end * k).mT  # (B, H, L, P, C)
    transition = whole * torch.eye(k.shape[-1], dtype=k.dtype, device=k.device) - kept @ erased  # (B, H, L, P, P)
    states = _before_each(torch.matmul, transition, kept @ new)
    return _joined(scores @ (new - erased @ states) + since_start * (q @ states), length)


def _decays(log_decay: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of a chunk (..., L, C): from its start to each token, from each token to its end, (..., L, C, 1) each, and over
    all of it, (..., L, 1, 1).
    """
    total = log_decay.cumsum(-1).unsqueeze(-1)
    end = total[..., -1:, :]
    return total.exp(), (end - total).exp(), end.exp()


def _before_each(apply: Callable[[Tensor, Tensor], Tensor], transition: Tensor, written: Tensor) -> Tensor:
    """The states before each chunk, (B, H, L, N, P), from what chunks do to the state and what they write."""
    states = [torch.zeros_like(written[:, :, 0])]
    # unbind: indexing in a loop makes the backward pass quadratic.
    for a, b in zip(transition.unbind(-3)[:-1], written.unbind(-3)[:-1], strict=True):
        states.append(apply(a, states[-1]) + b)
    return torch.stack(states, -3)


def _solved(system: Tensor, asked: Tensor) -> Tensor:
    return torch.linalg.solve_triangular(system, asked, upper=False, unitriangular=True)


def _in_chunks(dim: int, *sequences: Tensor) -> list[Tensor]:
    """Tokens in dimension `dim`, from the end: (..., T, ...) → (..., L, C, ...), with zeros in the last chunk."""
    length = sequences[0].shape[dim]
    size = chunk_size(length)
    after = (0, 0) * (-1 - dim)
    return [F.pad(x, (*after, 0, -length % size)).unflatten(dim, (-1, size)) for x in sequences]


def _joined(chunks: Tensor, length: int) -> Tensor:
    """(..., L, C, P) → (..., T, P)."""
    return chunks.flatten(-3, -2)[..., :length, :]
