"""What attention layers compute at one token of a sequence, recorded while a transformers model runs."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.projections import Layer
from local_models.kv_cache import cache_among

_NAME = "llm-icl-recording"
# Attention that transformers cannot replace, but that is plain: all earlier tokens, scaled products, no positions in
# them. The models of Dai et al. 2023 have it.
_PLAIN = ("XGLMAttention",)


@dataclass
class Attended:
    """One layer at one token, over the T tokens up to it and H heads of width P (keys and values of groups repeated for
    theirs).

    query (H, P), keys (H, T, P) and values (H, T, P) are as attention uses them; logits (H, T) are scaled and before
    softmax, minus infinity where the token is masked; output (D,) is that of the attention layer, and last_output (D,)
    that at the last token of the sequence. plain_queries (t, H P) are those of the t tokens up to it that were just
    read, before any rotation.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    logits: Tensor
    output: Tensor
    last_output: Tensor
    plain_queries: Tensor


@contextmanager
def recording(model: Any, layers: Sequence[Layer], back: int = 0) -> Iterator[list[Attended]]:
    """Inside it, each run of the model over one sequence replaces the list's entries: one for each layer, at the last
    token or some tokens back.

    Raises RequestError in a run of a model whose attention cannot be recorded.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    found: list[Attended] = []
    place = {id(layer.module): i for i, layer in enumerate(layers)}
    parts: list[dict[str, Tensor]] = [{} for _ in layers]

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None = None,
        softcap: float | None = None, s_aux: Tensor | None = None, **_: Any,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        if s_aux is not None:
            raise RequestError(f"attention of {type(module).__name__} cannot be recorded: it has attention sinks")
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)  # (1, H, T, P) each
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        logits = query @ key.transpose(-1, -2) * scale  # (1, H, t, T)
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        if mask is not None:
            logits = logits.masked_fill(mask[..., : key.shape[-2]] < 0, -torch.inf)
        weights = logits.softmax(-1)
        at, seen = query.shape[2] - 1 - back, key.shape[2] - back
        parts[place[id(module)]] |= {
            "query": query[0, :, at],  # (H, P)
            "keys": key[0, :, :seen],  # (H, T, P)
            "values": value[0, :, :seen],  # (H, T, P)
            "logits": logits[0, :, at, :seen],  # (H, T)
        }
        return (weights @ value).transpose(1, 2).contiguous(), weights  # (1, t, H, P), (1, H, t, T)

    def keep(layer: int) -> tuple[Any, Any]:
        def queries(_: Any, __: Any, output: Tensor) -> None:
            plain = layers[layer].queries(output)  # (t, H P)
            parts[layer]["plain_queries"] = plain[: len(plain) - back]

        def whole(module: Any, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            if type(module).__name__ in _PLAIN:
                stream = inputs[0] if inputs else named["hidden_states"]
                parts[layer] |= _plain(module, parts[layer]["plain_queries"], stream, cache_among(named), back)
            if "logits" not in parts[layer]:
                raise RequestError(f"attention of {type(module).__name__} cannot be recorded")
            if layer == 0:
                found.clear()
            added = output[0][0]  # of (1, t, D): (t, D)
            found.append(Attended(**parts[layer], output=added[-1 - back], last_output=added[-1]))

        return queries, whole

    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, eager_mask)
    usual, hooks = model.config._attn_implementation, []
    try:
        model.set_attn_implementation(_NAME)
        for i, layer in enumerate(layers):
            queries, whole = keep(i)
            hooks.append(layer.source.register_forward_hook(queries))
            hooks.append(layer.module.register_forward_hook(whole, with_kwargs=True))
        yield found
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation(usual)


def _plain(module: Any, queries: Tensor, stream: Tensor, cache: Any, back: int) -> dict[str, Tensor]:
    """What plain attention computes at a token: from its projections, or from its cache where there is one."""
    heads = module.num_heads
    if cache is None:
        made = (project(stream)[0] for project in (module.k_proj, module.v_proj))
        keys, values = (one.unflatten(-1, (heads, -1)).transpose(0, 1) for one in made)  # (H, T, P) each
    else:
        keys, values = cache.layers[module.layer_idx].keys[0], cache.layers[module.layer_idx].values[0]
    seen = keys.shape[1] - back
    keys, values = keys[:, :seen], values[:, :seen]
    query = queries[-1].unflatten(0, (heads, -1))  # (H, P)
    logits = torch.einsum("hd,htd->ht", query, keys) * module.scaling  # (H, T)
    return {"query": query, "keys": keys, "values": values, "logits": logits}
