"""The logits of a transformers model at the positions that are read."""

import inspect
from typing import TYPE_CHECKING, Any

from local_models.kv_cache import cached

if TYPE_CHECKING:  # torch is loaded with a model, not before
    from torch import Tensor, nn


def logits_at(
    model: "nn.Module", tokens: "Tensor", positions: "Tensor", cache: Any = None, **seen: "Tensor"
) -> "Tensor":
    """tokens (B, T) after those in the cache, positions (P,) among them → logits (B, P, vocabulary) in float32.

    `seen` are the model's own arguments for what each token sees (attention_mask, position_ids), if not all before it.
    Where the model allows it, only these logits are computed. Raises ValueError for a model that gives other positions.
    """
    only = keeping(model, positions)
    found: Tensor = model(input_ids=tokens, **seen, **only, **cached(model, cache)).logits
    expected = len(positions) if only else tokens.shape[1]
    if found.shape[1] != expected:
        raise ValueError(f"the model gives logits at {found.shape[1]} positions instead of {expected}")
    return (found if only else found[:, positions]).float()


def keeping(model: "nn.Module", positions: "Tensor | int") -> dict[str, Any]:
    """The argument of a forward pass that computes the logits at these positions only, or at so many last ones; none
    for a model that always computes all.
    """
    known = inspect.signature(model.forward).parameters
    return {"logits_to_keep": positions} if "logits_to_keep" in known else {}
