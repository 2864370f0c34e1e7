"""The dual form of attention (Dai et al. 2023, §3): exact for linear attention; and the distance of softmax from it.

Without softmax, a head's output for a query q over demonstrations' tokens X' and query tokens X is
W_V X (W_K X)^T q + W_V X' (W_K X')^T q = (W_ZSL + sum over i of v_i k_i^T) q: demonstrations act as a change of
weights, a sum of outer products. With softmax no change of weights is the same for all queries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from llm_icl.experiments.finetuning.recording import Attended


@dataclass(frozen=True)
class DualForm:
    """One layer, averaged over heads.

    `gap` is the maximum difference, relative to the output, between linear attention over all tokens and the zero-shot
    weights plus the sum of outer products, applied to the query: rounding only. The zero-shot weights are made of the
    query's own tokens as they follow the demonstrations, as in the paper. `softmax_cosine` is the cosine between what
    demonstrations change in the output of softmax attention and in that of linear attention. `softmax_distance` is the
    distance between both outputs, each normalised to length 1.
    """

    gap: float
    softmax_cosine: float
    softmax_distance: float


def dual_form(layer: Attended, start: int, end: int) -> DualForm:
    """From one recorded layer, whose tokens from `start` up to `end` are the demonstrations'; in float64. What precedes
    them, a token for the beginning, precedes the query in zero-shot too.

    Its H heads are G groups of R heads that share keys and values.
    """
    groups = len(layer.keys)
    q = layer.query.double().unflatten(0, (groups, -1))  # (H, P) → (G, R, P)
    logits = layer.logits.double().unflatten(0, (groups, -1))  # (H, T) → (G, R, T)
    seen = ~torch.isinf(logits[:, :1])  # (G, 1, T); tokens outside a sliding window are not attended to
    keys, values = layer.keys.double() * seen.transpose(1, 2), layer.values.double()  # (G, T, P) each
    linear = (q @ keys.transpose(1, 2)) @ values  # (G, R, P)
    # Sums of outer products, (G, P, P): of the tokens of zero-shot, and of the demonstrations'.
    tokens = torch.arange(keys.shape[1], device=keys.device)
    own = (tokens < start) | (tokens >= end)
    zero_shot = keys[:, own].transpose(1, 2) @ values[:, own]
    change = keys[:, ~own].transpose(1, 2) @ values[:, ~own]
    gap = (q @ (zero_shot + change) - linear).abs().amax() / linear.abs().amax()
    softmax = logits.softmax(-1) @ values  # (G, R, P)
    alone = logits[..., own].softmax(-1) @ values[:, own]  # (G, R, P)
    return DualForm(
        float(gap),
        _cosine(softmax - alone, q @ change),
        float((_unit(softmax) - _unit(linear)).norm(dim=-1).mean()),
    )


def _cosine(a: Tensor, b: Tensor) -> float:
    """Averaged over the heads with a change; NaN where there is none."""
    changes = (a.norm(dim=-1) > 0) & (b.norm(dim=-1) > 0)
    return float(torch.cosine_similarity(a[changes], b[changes], dim=-1).mean())


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
