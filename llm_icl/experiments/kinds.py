"""The kinds of experiments. Each is a package here: its KIND is the command, its docstring one line on it, and its
module `experiment`, which registers the class, is loaded when the kind is used.
"""

import importlib
import logging
import pkgutil
from functools import cached_property
from types import ModuleType
from typing import TYPE_CHECKING

from llm_icl import experiments as package
from llm_icl.config.registry import Registry
from llm_icl.errors import RequestError, TakenNameError

if TYPE_CHECKING:
    from llm_icl.experiments.base import Experiment

log = logging.getLogger(__name__)


class Kinds(Registry["type[Experiment]"]):
    """The classes of experiments, by command."""

    def __init__(self) -> None:
        super().__init__("experiment", package.__name__)

    def __contains__(self, name: str) -> bool:
        if name in self._own:
            return True
        self._load_others()
        return name in self._entries

    def get(self, name: str) -> "type[Experiment]":
        if name in self._own:
            self._load_one(name)
            self._load_others()  # none may have the same name
            return self._entries[name]
        return super().get(name)

    def summaries(self) -> dict[str, str]:
        """One line on each kind. Loads only those of other distributions, and ours whose names these take, which is an
        error.
        """
        self._load_others()
        for name in self._own.keys() & self._entries.keys():
            self._load_one(name)
        foreign = {name: kind.summary for name, kind in self._entries.items() if name not in self._own}
        return foreign | {name: str(kind.__doc__) for name, kind in self._own.items()}

    def _load_others(self) -> None:
        """Those of other distributions. What is broken there takes none of ours away; a name that is taken is an
        error.
        """
        try:
            self._load_foreign()
        except RequestError as problem:
            if isinstance(problem.__cause__, TakenNameError):
                raise
            log.warning("%s", problem)

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
