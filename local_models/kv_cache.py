"""The key-value cache of a transformers model, under the name that the installed version has for it.

transformers 5.24 renamed the argument `past_key_values` to `cache` and drops the old name in 5.40; models with code of
their own may keep the old one. This is the only place that knows.
"""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

_NAMES = ("cache", "past_key_values")


def cached(model: nn.Module, cache: Any) -> dict[str, Any]:
    """The arguments of a forward pass that reads on from `cache` and adds to it; None keeps nothing."""
    known = inspect.signature(model.forward).parameters
    name = next((name for name in _NAMES if name in known), _NAMES[-1])
    return {name: cache, "use_cache": cache is not None}


def cache_among(arguments: Mapping[str, Any]) -> Any:
    """The cache among the named arguments that a layer was called with; None where there is none."""
    return next((arguments[name] for name in _NAMES if arguments.get(name) is not None), None)
