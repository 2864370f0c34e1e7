"""Registries: one new file adds a function class, a learner or a backend, which registers itself on import."""

import importlib
import pkgutil
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from llm_icl.errors import RequestError, TakenNameError, unknown_name

T = TypeVar("T")


class Registry(Generic[T]):
    """The entries of one kind, by name.

    Loads every module of `package`, and every entry point of the group with the same name in other distributions.
    """

    def __init__(self, kind: str, package: str) -> None:
        self.kind = kind
        self._package = package
        self._entries: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Add an entry. Raises TakenNameError if another one has the name; what is defined again, as in a notebook,
        replaces itself.
        """

        def add(entry: T) -> T:
            other = self._entries.get(name)
            if other is not None and _origin(other) != _origin(entry):
                places = " and ".join(sorted(map(".".join, (_origin(other), _origin(entry)))))
                raise TakenNameError(f"two entries are named {self.kind} '{name}', {places}: rename one")
            self._entries[name] = entry
            return entry

        return add

    def get(self, name: str) -> T:
        """The entry of this name. Raises RequestError, with the nearest name, if unknown."""
        self._load()
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def items(self) -> list[tuple[str, T]]:
        self._load()
        return sorted(self._entries.items())

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        try:
            self._load_own()
            self._load_foreign()
        except BaseException:
            self._loaded = False
            raise

    def _load_foreign(self) -> None:
        """Raises RequestError if one cannot be loaded."""
        for point in entry_points(group=self._package):
            try:
                point.load()
            except Exception as problem:
                owner = point.dist.name if point.dist else "a package"
                reason = str(problem) if isinstance(problem, RequestError) else f"{type(problem).__name__}: {problem}"
                raise RequestError(f"{self.kind} '{point.name}' of {owner} cannot be loaded: {reason}") from problem

    def _load_own(self) -> None:
        package = importlib.import_module(self._package)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self._package}.{module.name}")


def _origin(entry: object) -> tuple[str, str]:
    """Where a class or function is defined."""
    return getattr(entry, "__module__", ""), getattr(entry, "__qualname__", "")
