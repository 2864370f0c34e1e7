"""The base of experiments that ask language models."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from llm_icl.errors import WorkError
from llm_icl.experiments.base import Experiment, Session
from llm_icl.progress import OnProgress, silent
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    from llm_icl.backends import ModelEntry
    from llm_icl.backends.pool import ModelPool
    from llm_icl.experiments.calling import Calling
    from llm_icl.experiments.limits import Limits


class AskingRequest(Protocol):
    """What identifies the run: whom it asks, and all else that determines the answers."""

    @property
    def models(self) -> "tuple[ModelEntry, ...]": ...
    def record(self) -> dict[str, Any]: ...
    def directory_name(self) -> str: ...


class Execution(Protocol):
    """A request in an open session."""

    def run(self) -> None:
        """Do the remaining work. Raises WorkError if it must stop early."""

    def submit(self) -> None:
        """Submit all requests to the providers' batch interfaces without waiting; failures appear on collection."""


class AskingExperiment(Experiment):
    """Models and calls are opened for one run, or, in a suite, shared by all its cells."""

    describes = True
    request: AskingRequest

    def __init__(
        self, request: AskingRequest, limits: "Limits", pool: "ModelPool | None" = None,
        calling: "Calling | None" = None,
    ) -> None:  # fmt: skip
        self.request, self.limits = request, limits
        self._pool, self._calling = pool, calling

    @abstractmethod
    def check_request(self, will_ask: bool) -> None:
        """Check the request before work starts. Raises RequestError.

        The prerequisites of models (keys, memory) are not checked if no model will be called.
        """

    @classmethod
    @abstractmethod
    def plan(cls, requests: Sequence[Any], cache_path: Path, batch: bool, say: Callable[[str], None]) -> None:
        """Print the calls of requests and their cost; nothing is loaded or sent."""

    @abstractmethod
    def modes(self, entry: "ModelEntry", pool: "ModelPool") -> list[str]:
        """The query modes of a model, in words. Raises RequestError if no mode is possible."""

    @abstractmethod
    def execution(
        self, session: Session, pool: "ModelPool", calling: "Calling | None", on_progress: OnProgress
    ) -> Execution:
        """The work in an open session."""

    @abstractmethod
    def unanswered(self, run: RunDirectory) -> dict[str, str]:
        """The language models whose answers cannot be used, with the reasons."""

    def record(self) -> dict[str, Any]:
        return self.request.record()

    def directory_name(self) -> str:
        return self.request.directory_name()

    def check(self) -> None:
        self.check_request(will_ask=True)
        self.limits.check(self.request.models)

    def describe(self, folder: Path, say: Callable[[str], None]) -> None:
        from llm_icl.experiments.limits import CACHE

        self.check_request(will_ask=False)
        self.plan([self.request], folder.parent / CACHE, self.limits.batch, say)

    def run(self, folder: Path, on_progress: OnProgress = silent, keep_old: bool = False) -> RunDirectory:
        from llm_icl.backends.pool import ModelPool

        if self._pool is not None:
            return super().run(folder, on_progress, keep_old)
        with closing(ModelPool(folder)) as self._pool:
            try:
                return super().run(folder, on_progress, keep_old)
            finally:
                self._pool = None

    def prepare(self, folder: Path) -> None:
        """Load the first model and plan its calls, so errors occur before anything is written."""
        if self.request.models and self._calling is None:
            assert self._pool is not None
            self.modes(self.request.models[0], self._pool)

    def work(self, session: Session, on_progress: OnProgress) -> None:
        self._execution(session, on_progress).run()

    def submit(self, folder: Path, on_progress: OnProgress = silent, keep_old: bool = False) -> None:
        """Submit all requests to the providers' batch interfaces without waiting."""
        run = RunDirectory(folder)
        with run, self.session(run, keep_old) as session:
            if session is not None:
                self._execution(session, on_progress).submit()

    def failure(self, run: RunDirectory) -> WorkError | None:
        from llm_icl.config.specs import counted

        failed = sorted(run.record.get("failed", {}).items(), key=lambda entry: -entry[1])
        parts = [f"no answer from {name} ({reason})" for name, reason in self.unanswered(run).items()]
        if failed:
            calls = counted(sum(count for _, count in failed), "call")
            parts.append(f"{calls} failed ({failed[0][0]}): re-running the command retries them")
        return WorkError("; ".join(parts)) if parts else None

    def _execution(self, session: Session, on_progress: OnProgress) -> Execution:
        assert self._pool is not None
        calling = self._calling
        if calling is None and self.request.models:
            from llm_icl.asking.cache import CallCache
            from llm_icl.experiments.limits import CACHE

            calling = self.limits.calling(CallCache(session.path.parent / CACHE), session.path.name)
        return self.execution(session, self._pool, calling, on_progress)
