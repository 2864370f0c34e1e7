"""Architectures: sequences of mixers, repeated over the layers, and their options.

A mixer's file registers its architectures. Loads the modules of `local_models.mixers`, and the entry points of other
distributions in the group `llm_icl.mixers`.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Any, TypeVar

from local_models import mixers
from local_models.mixers.base import Mixer

_GROUP = "llm_icl.mixers"

M = TypeVar("M", bound=type[Mixer])


@dataclass(frozen=True)
class Architecture:
    """`description` is one line; `defaults` override default options of the mixers."""

    name: str
    description: str
    mixers: tuple[type[Mixer], ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, Any]:
        """The options that all mixers accept, and their defaults, excluding those determined by the model's shape."""
        taken = [inspect.signature(mixer).parameters for mixer in self.mixers]
        return {
            key: self.defaults.get(key, parameter.default)
            for key, parameter in taken[0].items()
            if key not in ("width", "layers", "longest") and all(key in others for others in taken)
        }

    def build(self, width: int, layers: int, longest: int, options: Mapping[str, Any]) -> list[Mixer]:
        """The mixers of a model, one for each layer. Raises ValueError for an unknown option."""
        known = self.options
        if unknown := sorted(set(options) - set(known)):
            raise ValueError(f"{self.name} has no option '{unknown[0]}': options are {', '.join(known) or 'none'}")
        built = []
        for layer in range(layers):
            mixer = self.mixers[layer % len(self.mixers)]
            bound = {"longest": longest} if mixer.bounded else {}
            built.append(mixer(width, layers, **bound, **{**self.defaults, **options}))
        return built


_known: dict[str, Architecture] = {}


def register(architecture: Architecture) -> None:
    """Raises ValueError if the name is taken: old runs would load a different architecture."""
    if architecture.name in _known:
        raise ValueError(f"two architectures are named '{architecture.name}': rename one")
    _known[architecture.name] = architecture


def architecture(name: str, description: str, /, **defaults: Any) -> Callable[[M], M]:
    """Register an architecture whose blocks all have the decorated mixer, with these options."""

    def add(mixer: M) -> M:
        register(Architecture(name, description, (mixer,), defaults))
        return mixer

    return add


def architectures() -> dict[str, Architecture]:
    """All architectures, by name. Raises ValueError if those of another distribution cannot be loaded."""
    _load()
    return dict(sorted(_known.items()))


def find(name: str) -> Architecture:
    """Raises ValueError, with the nearest name, if unknown."""
    known = architectures()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ValueError(f"unknown architecture '{name}': {hint}known are {', '.join(known)}")
    return known[name]


@cache
def _load() -> None:
    """Raises ValueError if the mixers of another distribution cannot be loaded."""
    for module in pkgutil.iter_modules(mixers.__path__):
        importlib.import_module(f"{mixers.__name__}.{module.name}")
    for point in entry_points(group=_GROUP):
        try:
            point.load()
        except Exception as problem:
            owner = point.dist.name if point.dist else "a package"
            raise ValueError(f"mixer '{point.name}' of {owner} cannot be loaded: {problem}") from problem
