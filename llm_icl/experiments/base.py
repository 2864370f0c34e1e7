"""What a run directory holds: an experiment. The only code that opens, resumes, records and finishes one.

One rule for all kinds, by what the directory holds:

| it holds | then |
| --- | --- |
| nothing | the work is done |
| this request, finished | its results stand |
| this request, finished by other versions of what computes | said, and done again; with `keep_old` its results stand |
| this request, interrupted | resumed |
| this request, interrupted under other versions | said, and started again |
| this request, finished, but calls had failed | the failed calls are made again |
| another request | refused |
"""

import contextlib
import dataclasses
import enum
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llm_icl.config.options import Options
from llm_icl.config.registry import Registry
from llm_icl.errors import RequestError, WorkError
from llm_icl.progress import OnProgress, silent
from llm_icl.runs import RunDirectory, RunRecord
from llm_icl.runs.opening import now
from llm_icl.runs.versions import changed

if TYPE_CHECKING:
    from llm_icl.reports.document import Report

log = logging.getLogger(__name__)


class State(enum.Enum):
    """What a directory holds of a request."""

    EMPTY = "nothing"
    FINISHED = "finished"
    OUTDATED = "finished by other versions"
    INTERRUPTED = "interrupted"
    STALE = "interrupted under other versions"
    INCOMPLETE = "finished, but calls had failed"


class Session:
    """One start of an experiment in its directory: the record that becomes run.json, and its clock.

    `results` is what a kind adds to the record. `earlier` is the record that an earlier start left, where this one
    resumes it; else it is empty.
    """

    def __init__(self, run: RunDirectory, record: RunRecord, earlier: dict[str, Any]) -> None:
        self.run, self.path, self.earlier = run, run.path, earlier
        self.results: dict[str, Any] = {}
        self._record = record
        self._began = time.monotonic() - earlier.get("wall_seconds", 0.0)
        if earlier:
            record.started = earlier["started"]

    def save(self) -> None:
        """Write run.json as things stand."""
        self._record.wall_seconds = time.monotonic() - self._began
        self.run.write_record(dataclasses.asdict(self._record) | self.results)

    def finish(self) -> None:
        self._record.status, self._record.finished = "complete", now()
        self.save()
        self.run.forget_parts()


class Experiment(ABC):
    """A request, and how it is carried out and reported. Subclasses are registered under the name of their kind."""

    kind: ClassVar[str]
    # One line for the list of commands; the docstring is the help of the command.
    summary: ClassVar[str]
    options: ClassVar[type[Options]]
    # Whether `describe` tells what would be done.
    describes: ClassVar[bool] = False
    # What a finished run must have beside run.json.
    needed: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def of(cls, options: Any) -> "Experiment":
        """The experiment that an instance of `options` asks for. Raises RequestError."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """The whole request as JSON data: the identity of its run."""

    @abstractmethod
    def directory_name(self) -> str:
        """A name for its directory: readable, and different for every different request."""

    def products(self) -> tuple[str, ...]:
        """The names of all that it writes beside run.json and reports."""
        return self.needed

    def check(self) -> None:  # noqa: B027 (some requests are right as soon as they are read)
        """Find every error of the request that can be found before work starts. Raises RequestError."""

    def prepare(self, folder: Path) -> None:  # noqa: B027 (most have nothing to prepare)
        """Find out what can only be found out by trying, before anything is written. Raises RequestError."""

    def describe(self, folder: Path, say: Callable[[str], None]) -> None:  # noqa: B027
        """Say what would be done and what it would cost, and do nothing (--dry-run)."""

    def failure(self, run: RunDirectory) -> WorkError | None:
        """What is left to do in a finished run, where something is."""
        return None

    @abstractmethod
    def work(self, session: Session, on_progress: OnProgress) -> None:
        """Do what is not done yet in the session's directory, and add what was found to its results.

        Raises WorkError where the work must stop before its end.
        """

    @classmethod
    @abstractmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        """What finished runs of this kind have found. Raises RequestError where they cannot be reported together."""

    def state(self, run: RunDirectory) -> State:
        """What the directory holds of this request. Raises RequestError where it holds another's."""
        run.check_request(self.record())
        earlier = run.record
        if not earlier:
            return State.EMPTY
        current = not changed(earlier["versions"])
        if earlier.get("status") != "complete" or not all((run.path / name).exists() for name in self.needed):
            return State.INTERRUPTED if current else State.STALE
        if not current:
            return State.OUTDATED
        return State.INCOMPLETE if earlier.get("failed") else State.FINISHED

    def run(self, folder: Path, on_progress: OnProgress = silent, keep_old: bool = False) -> RunDirectory:
        """Carry it out in a directory, by the rule above. Raises RequestError and WorkError."""
        self.check()
        run = RunDirectory(folder)
        if self._stands(run, keep_old):
            return run
        self.prepare(folder)
        with run, self.session(run, keep_old) as session:
            if session is not None:
                self.work(session, on_progress)
                session.finish()
        return run

    @contextlib.contextmanager
    def session(self, run: RunDirectory, keep_old: bool = False) -> Iterator[Session | None]:
        """A start in a directory that is held: None where what is there stands. Whatever ends it, the record says how
        far it came.
        """
        if self._stands(run, keep_old):
            yield None
            return
        state, earlier = self.state(run), run.record
        if state in (State.OUTDATED, State.STALE):
            again = "done again" if state is State.OUTDATED else "started again"
            log.warning("%s: %s (%s): it is %s", run.path, state.value, "; ".join(changed(earlier["versions"])), again)
            self._clear(run.path)
        if state is State.INCOMPLETE:
            run.forget_parts()
        resumed = earlier if state is State.INTERRUPTED else {}
        session = Session(run, RunRecord.opening(self.kind, self.record()), resumed)
        session.save()
        try:
            yield session
        except RequestError:
            # A request that was refused before anything was found does not keep the directory from the next one.
            if state is State.EMPTY and not run.parts.is_dir():
                self._clear(run.path)
                raise
            session.save()
            raise
        except BaseException:
            session.save()
            raise

    def _stands(self, run: RunDirectory, keep_old: bool) -> bool:
        state = self.state(run)
        if state is State.OUTDATED and keep_old:
            log.warning("%s: %s (%s)", run.path, state.value, "; ".join(changed(run.record["versions"])))
            return True
        return state is State.FINISHED

    def _clear(self, folder: Path) -> None:
        """Remove what this kind has written; what else lies there is the user's."""
        for name in ("parts", "report.html", "report.md", *self.products(), "run.json"):
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


experiments: Registry[type[Experiment]] = Registry("experiment", "llm_icl.experiments")
