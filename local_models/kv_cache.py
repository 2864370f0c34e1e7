"""The key-value cache of a transformers model, under the argument name of the installed version.

transformers 5.24 renamed the argument `past_key_values` to `cache` and drops the old name in 5.40; models with custom
code may keep the old one. All use of these names is here.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

_NAMES = ("cache", "past_key_values")


def cached(model: nn.Module, cache: Any) -> dict[str, Any]:
    """The arguments of a forward pass that continues from `cache` and extends it; None disables caching."""
    known = inspect.signature(model.forward).parameters
    name = next((name for name in _NAMES if name in known), _NAMES[-1])
    return {name: cache, "use_cache": cache is not None}


def cache_among(arguments: Mapping[str, Any]) -> Any:
    """The cache among the keyword arguments of a layer; None if absent."""
    return next((arguments[name] for name in _NAMES if arguments.get(name) is not None), None)
