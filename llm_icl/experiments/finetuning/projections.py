"""The query, key and value projections of each attention layer, in the layouts of transformers' models.

Finetuning in the sense of Dai et al. 2023 changes keys and values only. Where one matrix makes all three, only some of
its rows (or columns) belong to keys and values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from llm_icl.errors import RequestError


@dataclass(frozen=True)
class Layer:
    """One attention layer: its module, the parameters that make keys and values with a mask of the entries that do,
    and a function from the output of `source` (1, T, ...) to the queries (T, H P), normalised where attention
    normalises them and before any rotation.
    """

    module: nn.Module
    trained: tuple[tuple[nn.Parameter, Tensor], ...]
    source: nn.Module
    queries: Callable[[Tensor], Tensor]


def attention_layers(model: nn.Module) -> list[Layer]:
    """All attention layers, from the first to the last. Raises RequestError where there is none, or one of an unknown
    layout.
    """
    attention = [m for m in model.modules() if type(m).__name__.endswith("Attention")]
    if not attention:
        raise RequestError(f"{type(model).__name__} has no attention layers")
    modules = [module for module in attention if hasattr(module, "layer_idx")]
    if not modules:
        raise _unknown(attention[0])
    return [_layer(module) for module in sorted(modules, key=lambda module: int(module.layer_idx))]  # type: ignore[arg-type]


def _layer(module: Any) -> Layer:
    if hasattr(module, "k_proj") and hasattr(module, "v_proj"):
        return Layer(module, tuple(_whole(module.k_proj, module.v_proj)), module.q_proj, _normalised(module))
    if hasattr(module, "c_attn") and hasattr(module.c_attn, "nf"):  # GPT-2: one matrix, (D, 3 D), queries first
        width = module.c_attn.nf // 3
        mine = torch.arange(3 * width) >= width
        return Layer(module, tuple(_columns(module.c_attn, mine)), module.c_attn, lambda found: found[0, :, :width])
    if hasattr(
        module, "qkv_proj"
    ):  # Phi-3: one matrix, its rows queries first, the keys and values of groups after them
        width = module.config.num_attention_heads * module.head_dim
        rows = torch.arange(module.qkv_proj.out_features) >= width
        return Layer(module, tuple(_rows(module.qkv_proj, rows)), module.qkv_proj, lambda found: found[0, :, :width])
    if hasattr(module, "query_key_value") and type(module).__name__ == "GPTNeoXAttention":  # head by head
        size, outside = module.head_size, module.query_key_value.out_features
        part = torch.arange(outside) // size % 3
        return Layer(
            module,
            tuple(_rows(module.query_key_value, part > 0)),
            module.query_key_value,
            lambda found: found[0][:, part == 0],
        )
    raise _unknown(module)


def _unknown(module: nn.Module) -> RequestError:
    return RequestError(
        f"{type(module).__name__} is not supported: the layout of its key and value projections is unknown"
    )


def _normalised(module: Any) -> Callable[[Tensor], Tensor]:
    """Queries are normalised head by head (Gemma 3, Qwen 3) or as a whole (OLMo 2), or not at all."""
    norm = getattr(module, "q_norm", None)
    if norm is None:
        return lambda found: found[0]
    size: int = norm.weight.shape[-1]
    return lambda found: norm(found[0].unflatten(-1, (-1, size))).flatten(1)


def _whole(*maps: nn.Module) -> Iterator[tuple[nn.Parameter, Tensor]]:
    for one in maps:
        for parameter in one.parameters():
            yield parameter, torch.ones_like(parameter, dtype=torch.bool)


def _columns(fused: nn.Module, columns: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
    for parameter in fused.parameters():
        yield parameter, columns.expand(parameter.shape)


def _rows(fused: nn.Module, rows: Tensor) -> Iterator[tuple[nn.Parameter, Tensor]]:
    for parameter in fused.parameters():
        yield parameter, rows.unsqueeze(-1).expand(parameter.shape) if parameter.ndim > 1 else rows
