"""The kinds of experiments. Each is a package here: its KIND is the command, its docstring one line on it, and its
module `experiment`, which registers the class, is loaded when the kind is used.
"""

import importlib
import pkgutil
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

from llm_icl import experiments as package
from llm_icl.config.registry import Registry

if TYPE_CHECKING:
    from llm_icl.experiments.base import Experiment


class Kinds(Registry["type[Experiment]"]):
    """The classes of experiments, by command."""

    def __init__(self) -> None:
        super().__init__("experiment", package.__name__)

    def get(self, name: str) -> "type[Experiment]":
        if name in self._own:
            self._load_one(name)
            self._load_foreign()  # none may have the same name
            return self._entries[name]
        return super().get(name)

    def summaries(self) -> dict[str, str]:
        """One line on each kind. Loads only those of other distributions, and ours whose names these take, which is an
        error.
        """
        self._load_foreign()
        for name in self._own.keys() & self._entries.keys():
            self._load_one(name)
        foreign = {name: kind.summary for name, kind in self._entries.items() if name not in self._own}
        return foreign | {name: str(kind.__doc__) for name, kind in self._own.items()}

    @cached_property
    def _own(self) -> dict[str, ModuleType]:
        found = [module.name for module in pkgutil.iter_modules(package.__path__) if module.ispkg]
        kinds = [importlib.import_module(f"{package.__name__}.{name}") for name in found]
        return {kind.KIND: kind for kind in kinds}

    def _load_own(self) -> None:
        for name in self._own:
            self._load_one(name)

    def _load_one(self, name: str) -> None:
        importlib.import_module(f"{self._own[name].__name__}.experiment")


experiments = Kinds()
