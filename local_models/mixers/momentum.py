"""Momentum attention in two different forms: the paper's formula, and the authors' code."""

import math

import torch
from torch import Tensor, nn

from local_models.architectures import architecture
from local_models.mixers.attention import Attention
from local_models.mixers.base import causal_convolution, full_precision, special

# The number of exponential decays per channel that make up a filter.
FILTER_TERMS = 8


def decayed_past(values: Tensor, eta: Tensor) -> Tensor:
    """The sum over i < t of eta^(t-i) v_i, of values (B, H, T, P); eta (1 or H, 1, 1), in more than half
    precision, which rounds coefficients near 1.
    """
    ages = torch.arange(values.shape[2], device=values.device)
    age = ages.unsqueeze(1) - ages  # t - i, (T, T)
    powers = (eta.reshape(-1, 1) ** ages.clamp(min=1)).to(values.dtype)  # (1 or H, T)
    weights = torch.where(age > 0, powers[:, age.clamp(min=0)], 0.0)  # (1 or H, T, T)
    return weights @ values


def filtered_past(values: Tensor, delta: Tensor, gamma: Tensor) -> Tensor:
    """The sum over i <= t of k(t-i) v_i, of values (B, H, T, P), where the channels of all heads together, D = H P of
    them, have k_c(age) = D^(-1/2) sum over n of gamma_cn sigmoid(delta_cn)^age; delta and gamma (D, 8).
    """
    heads, length = values.shape[1:3]
    with full_precision(values) as inputs:
        ages = torch.arange(length, device=values.device, dtype=inputs.dtype)
        decays = torch.nn.functional.logsigmoid(delta.to(inputs.dtype))
        terms = torch.exp(ages.reshape(-1, 1, 1) * decays)  # (T, D, 8)
        kernel = (terms * gamma.to(inputs.dtype)).sum(-1) / math.sqrt(len(delta))  # (T, D)
        channels = inputs.transpose(1, 2).flatten(2)  # (B, T, D)
        added = causal_convolution(channels, kernel)
    return added.to(values.dtype).unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, H, T, P)


@architecture("momentum", "attention plus a decaying sum of earlier values (Dai et al. 2023, the paper's formula)")
class MomentumAttention(Attention):
    """The formula of Dai et al. 2023, §5: Attn(V, K, q_t) + sum over i < t of eta^(t-i) v_i.

    The current token is excluded. `eta` is the coefficient, the same for all heads unless `per_head`; with `learned` it
    is the initial value. The sum is not normalised in the paper, and grows to eta / (1 - eta) times a value;
    `normalised` divides by that. With eta = 0 this is plain attention.
    """

    def __init__(
        self, width: int, layers: int, heads: int = 4, eta: float = 0.5, learned: bool = False,
        per_head: bool = False, normalised: bool = False, positions: str = "learned",
    ) -> None:  # fmt: skip
        super().__init__(width, layers, heads, positions)
        if not 0 <= eta < 1 or (learned and eta == 0):
            raise ValueError(f"eta = {eta} is out of range: 0 <= eta < 1, and above 0 if learned")
        self.normalised = normalised
        count = heads if per_head else 1
        self.fixed = None if learned else float(eta)
        # Stored as a logit, which keeps it between 0 and 1.
        start = torch.full((count,), math.log(eta / (1 - eta)) if learned else 0.0)
        self.logit = special(nn.Parameter(start)) if learned else None

    @property
    def eta(self) -> Tensor | float:
        """The coefficient, or one for each head."""
        if self.logit is None:
            assert self.fixed is not None
            return self.fixed
        return self.logit.sigmoid()

    def momentum(self, values: Tensor) -> Tensor:
        eta = self.eta
        if isinstance(eta, float) and eta == 0:
            return super().momentum(values)
        exact = torch.promote_types(values.dtype, torch.float32)
        base = torch.as_tensor(eta, dtype=exact, device=values.device).reshape(-1, 1, 1)  # (1 or H, 1, 1)
        past = decayed_past(values, base)
        return past * ((1 - base) / base).to(past.dtype) if self.normalised else past


@architecture("momentum-learned", "attention plus a learned filter over the values (Dai et al. 2023, their code)")
class MomentumFilter(Attention):
    """The authors' released code for momentum attention: a learned filter over the values for each channel, including
    the current token. There is no coefficient eta. With gamma = 0 this is plain attention.
    """

    def __init__(self, width: int, layers: int, heads: int = 4, positions: str = "learned") -> None:
        super().__init__(width, layers, heads, positions)
        self.delta = special(nn.Parameter(0.2 * torch.randn(width, FILTER_TERMS)))
        self.gamma = special(nn.Parameter(torch.randn(width, FILTER_TERMS)))

    def momentum(self, values: Tensor) -> Tensor:
        return filtered_past(values, self.delta, self.gamma)
