"""The key-value cache of a transformers model, under the argument name of the installed version.

transformers 5.24 renamed the argument `past_key_values` to `cache` and drops the old name in 5.40; models with custom
code may keep the old one. All use of these names is here.
"""

import copy
import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # torch is loaded with a model, not before
    from torch import nn

_NAMES = ("cache", "past_key_values")


def new_cache(model: "nn.Module") -> Any:
    """An empty cache for a transformers model.

    A layer with a sliding window keeps all keys and values: the model's mask hides what is outside the window, and the
    cache can be cut to any length (`crop`), where transformers' own cache for such layers has forgotten the rest.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    cache = DynamicCache(config=model.config)
    cache.layers = [DynamicLayer() if type(layer) is DynamicSlidingWindowLayer else layer for layer in cache.layers]
    return cache


def forked(cache: Any, count: int) -> Any:
    """A cache of one sequence, for `count` sequences that continue it; the original stays as it is."""
    import torch
    from transformers.cache_utils import DynamicLayer

    twin = copy.copy(cache)
    twin.layers = [
        _spread(layer, count) if type(layer) is DynamicLayer else copy.deepcopy(layer) for layer in cache.layers
    ]
    for layer in twin.layers:
        if type(layer) is not DynamicLayer:  # unlike `batch_repeat_interleave`, for layers of any kind
            layer.reorder_cache(torch.zeros(count, dtype=torch.long))
    return twin


def _spread(layer: Any, count: int) -> Any:
    """A layer of keys and values whose sequences share their memory, until they are continued."""
    twin = copy.copy(layer)
    if layer.is_initialized:
        twin.keys, twin.values = (each.expand(count, -1, -1, -1) for each in (layer.keys, layer.values))
    return twin


def cached(model: "nn.Module", cache: Any) -> dict[str, Any]:
    """The arguments of a forward pass that continues from `cache` and extends it; None disables caching."""
    known = inspect.signature(model.forward).parameters
    name = next((name for name in _NAMES if name in known), _NAMES[-1])
    return {name: cache, "use_cache": cache is not None}


def cache_among(arguments: Mapping[str, Any]) -> Any:
    """The cache among the keyword arguments of a layer; None if absent."""
    return next((arguments[name] for name in _NAMES if arguments.get(name) is not None), None)
