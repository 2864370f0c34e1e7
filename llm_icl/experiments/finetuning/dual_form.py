"""The dual form of attention (Dai et al. 2023, §3): where it is exact, and how far softmax is from it.

Without softmax, a head's output for a query q over demonstrations' tokens X' and query tokens X is
W_V X (W_K X)^T q + W_V X' (W_K X')^T q = (W_ZSL + sum over i of v_i k_i^T) q: what demonstrations do is a change of
weights, a sum of outer products. With softmax there is no such change that is the same for all queries.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from llm_icl.experiments.finetuning.recording import Attended


@dataclass(frozen=True)
class DualForm:
    """One layer, averaged over heads where it is a number.

    `gap` is the greatest difference, relative to the output, between linear attention over all tokens and the
    zero-shot weights with the sum of outer products applied to the query: rounding only. The zero-shot weights are made
    of the query's own tokens as they stand behind the demonstrations, as in the paper. `softmax_cosine` is the cosine
    between what the demonstrations change in the output of softmax attention and what they change in linear
    attention's. `softmax_distance` is the length of the difference of both outputs, each brought to length 1.
    """

    gap: float
    softmax_cosine: float
    softmax_distance: float


def dual_form(layer: Attended, start: int, end: int) -> DualForm:
    """From one recorded layer, whose tokens from `start` up to `end` are the demonstrations'; in float64. What comes
    before them, a token for the beginning, is there without them too.
    """
    q, keys, values = layer.query.double(), layer.keys.double(), layer.values.double()  # (H, P), (H, T, P) twice
    seen = ~torch.isinf(layer.logits)  # (H, T)
    keys = keys * seen.unsqueeze(-1)  # a token out of a sliding window is not attended to
    linear = torch.einsum("htd,ht->hd", values, torch.einsum("htd,hd->ht", keys, q))  # (H, P)
    # Sums of outer products, (H, P, P): of the tokens that are there without demonstrations, and of theirs.
    tokens = torch.arange(keys.shape[1], device=keys.device)
    own = (tokens < start) | (tokens >= end)
    zero_shot = torch.einsum("htv,htk->hvk", values[:, own], keys[:, own])  # (H, P, P)
    change = torch.einsum("htv,htk->hvk", values[:, ~own], keys[:, ~own])  # (H, P, P)
    applied = torch.einsum("hvk,hk->hv", zero_shot + change, q)  # (H, P)
    gap = (applied - linear).abs().amax() / linear.abs().amax()
    logits = layer.logits.double()
    softmax = _mix(logits, values)  # (H, P)
    alone = _mix(logits[:, own], values[:, own])
    linear_change = torch.einsum("hvk,hk->hv", change, q)
    return DualForm(
        float(gap),
        _cosine(softmax - alone, linear_change),
        float((_unit(softmax) - _unit(linear)).norm(dim=-1).mean()),
    )


def _cosine(a: Tensor, b: Tensor) -> float:
    """Averaged over the heads in which something changes; NaN where nothing does."""
    changes = (a.norm(dim=-1) > 0) & (b.norm(dim=-1) > 0)
    return float(torch.cosine_similarity(a[changes], b[changes], dim=-1).mean())


def _mix(logits: Tensor, values: Tensor) -> Tensor:
    return torch.einsum("ht,htd->hd", logits.softmax(-1), values)  # (H, P)


def _unit(vectors: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vectors, dim=-1)
