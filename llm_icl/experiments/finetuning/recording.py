"""What attention layers compute, recorded while a transformers model runs."""

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


@dataclass(frozen=True)
class Attended:
    """One layer at one token of one sequence, over the T tokens up to it. H heads of width P; keys and values are those
    of G groups of H / G heads each.

    query (H, P), keys (G, T, P) and values (G, T, P) are as attention uses them; logits (H, T) are scaled and before
    softmax, minus infinity where the token is masked; output (D,) is that of the attention layer, and next_output (D,)
    that at the next token (at the same one, where it is the last). plain_query (H P,) is before any rotation.
    """

    query: Tensor
    keys: Tensor
    values: Tensor
    logits: Tensor
    output: Tensor
    next_output: Tensor
    plain_query: Tensor


@dataclass(frozen=True)
class Recorded:
    """One layer in a run over B sequences of t tokens each, behind the same C tokens that were read before; T = C + t.

    query (B, H, t, P), keys and values (B, G, T, P), logits (B, H, t, T), output (B, t, D), and source (B, t, ...),
    which holds the queries before any rotation.
    """

    layer: Layer
    query: Tensor
    keys: Tensor
    values: Tensor
    logits: Tensor
    output: Tensor
    source: Tensor

    def at(self, row: int, token: int) -> Attended:
        """At a token of those that were read in this run."""
        last = self.query.shape[2] - 1
        seen = self.keys.shape[2] - last + token  # of C + t tokens: C + token + 1
        return Attended(
            self.query[row, :, token],
            self.keys[row, :, :seen],
            self.values[row, :, :seen],
            self.logits[row, :, token, :seen],
            self.output[row, token],
            self.output[row, min(token + 1, last)],
            self.plain_queries(row)[token],
        )

    def plain_queries(self, row: int) -> Tensor:
        """Of all tokens that were read in this run, (t, H P)."""
        return self.layer.queries(self.source[row : row + 1])


@contextmanager
def recording(model: Any, layers: Sequence[Layer]) -> Iterator[list[Recorded]]:
    """Inside it, each run of the model replaces the list's entries, one for each layer.

    Raises RequestError in a run of a model whose attention cannot be recorded.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import eager_mask

    found: list[Recorded] = []
    place = {id(layer.module): i for i, layer in enumerate(layers)}
    parts: list[dict[str, Tensor]] = [{} for _ in layers]

    def attend(
        module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None = None,
        softcap: float | None = None, s_aux: Tensor | None = None, **_: Any,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        if s_aux is not None:
            raise RequestError(f"attention of {type(module).__name__} cannot be recorded: it has attention sinks")
        scale = query.shape[-1] ** -0.5 if scaling is None else scaling
        # (B, H, t, P) and (B, G, T, P): the heads of a group share its keys and values.
        grouped = query.unflatten(1, (key.shape[1], -1))  # (B, G, H / G, t, P)
        logits = (grouped @ key.unsqueeze(2).transpose(-1, -2)).flatten(1, 2) * scale  # (B, H, t, T)
        if softcap is not None:
            logits = softcap * torch.tanh(logits / softcap)
        if mask is not None:
            logits = logits.masked_fill(mask[..., : key.shape[-2]] < 0, -torch.inf)
        weights = logits.softmax(-1)
        mixed = weights.unflatten(1, (key.shape[1], -1)) @ value.unsqueeze(2)  # (B, G, H / G, t, P)
        parts[place[id(module)]] |= {"query": query, "keys": key, "values": value, "logits": logits}
        return mixed.flatten(1, 2).transpose(1, 2).contiguous(), weights  # (B, t, H, P), (B, H, t, T)

    def keep(layer: int) -> tuple[Any, Any]:
        def source(_: Any, __: Any, output: Tensor) -> None:
            parts[layer]["source"] = output

        def whole(module: Any, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
            if type(module).__name__ in _PLAIN:
                stream = inputs[0] if inputs else named["hidden_states"]
                parts[layer] |= _plain(module, parts[layer]["source"], stream, cache_among(named))
            if "logits" not in parts[layer]:
                raise RequestError(f"attention of {type(module).__name__} cannot be recorded")
            if layer == 0:
                found.clear()
            found.append(Recorded(layers[layer], **parts[layer], output=output[0]))
            parts[layer] = {}

        return source, whole

    AttentionInterface.register(_NAME, attend)
    AttentionMaskInterface.register(_NAME, eager_mask)
    usual, hooks = model.config._attn_implementation, []
    try:
        model.set_attn_implementation(_NAME)
        for i, layer in enumerate(layers):
            source, whole = keep(i)
            hooks.append(layer.source.register_forward_hook(source))
            hooks.append(layer.module.register_forward_hook(whole, with_kwargs=True))
        yield found
    finally:
        for hook in hooks:
            hook.remove()
        model.set_attn_implementation(usual)


def _plain(module: Any, queries: Tensor, stream: Tensor, cache: Any) -> dict[str, Tensor]:
    """What plain attention computes, from its projections, or from its cache where there is one."""
    heads = module.num_heads
    query = queries.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, t, H P) → (B, H, t, P)
    if cache is None:
        made = (project(stream) for project in (module.k_proj, module.v_proj))
        keys, values = (one.unflatten(-1, (heads, -1)).transpose(1, 2) for one in made)  # (B, H, T, P) each
    else:
        keys, values = cache.layers[module.layer_idx].keys, cache.layers[module.layer_idx].values
    logits = query @ keys.transpose(-1, -2) * module.scaling  # (B, H, t, T)
    before = keys.shape[2] - query.shape[2]
    later = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device).triu(before + 1)
    return {"query": query, "keys": keys, "values": values, "logits": logits.masked_fill(later, -torch.inf)}
