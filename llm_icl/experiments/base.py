"""The base class of experiments. The only code that opens, resumes, records and finishes runs.

The same rule for all kinds, by the content of the run directory:

| content | action |
| --- | --- |
| nothing | run |
| this request, finished | the results are kept |
| this request, finished with other package versions | warn and rerun; `keep_old` shows the old results |
| this request, interrupted | resumed |
| this request, interrupted under other versions | warn and restart |
| this request, finished, but a file of it is missing | warn and restart |
| this request, finished with failed calls | the failed calls are retried |
| another request | RequestError |
| files of a run, but no run.json | RequestError |

Old results are only removed when the new ones are complete: until then they are in the folder `outdated` of the run.
"""

import contextlib
import dataclasses
import enum
import logging
import shutil
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from llm_icl.config.options import Options
from llm_icl.errors import RequestError, WorkError
from llm_icl.progress import OnProgress, silent
from llm_icl.runs import RunDirectory, RunRecord, readable
from llm_icl.runs.opening import now
from llm_icl.runs.versions import changed

if TYPE_CHECKING:
    from llm_icl.reports.document import Report

log = logging.getLogger(__name__)

# Where old results are while they are made again.
OUTDATED = "outdated"


class State(enum.Enum):
    """The state of a request's run in a directory."""

    EMPTY = "nothing"
    FINISHED = "finished"
    OUTDATED = "finished with other package versions"
    INTERRUPTED = "interrupted"
    STALE = "interrupted with other package versions"
    INCOMPLETE = "finished with failed calls"
    DAMAGED = "finished, but a file is missing"


class Session:
    """One execution of an experiment in its directory: the record for run.json, and its clock.

    `results` are the kind's own fields of the record. `earlier` is the record of the execution that this one resumes;
    empty for a new run.
    """

    def __init__(self, run: RunDirectory, record: RunRecord, earlier: dict[str, Any]) -> None:
        self.run, self.path, self.earlier = run, run.path, earlier
        self.results: dict[str, Any] = {}
        self._record = record
        self._began = time.monotonic() - earlier.get("wall_seconds", 0.0)
        if earlier:
            record.started = earlier.get("started", record.started)

    def save(self) -> None:
        """Write the current run.json."""
        self._record.wall_seconds = time.monotonic() - self._began
        self.run.write_record(dataclasses.asdict(self._record) | self.results)

    def finish(self) -> None:
        """Record that all work is done, and remove what only resuming needed."""
        self._record.status, self._record.finished = "complete", now()
        self.save()
        self.run.forget_parts()
        shutil.rmtree(self.path / OUTDATED, ignore_errors=True)


class Experiment(ABC):
    """A request, and how it is executed and reported. Subclasses are registered under the name of their kind."""

    kind: ClassVar[str]
    # One line for the list of commands, where no package's docstring is that (see `kinds`); the docstring is the
    # command's help.
    summary: ClassVar[str]
    options: ClassVar[type[Options]]
    # Whether `describe` is implemented (--dry-run).
    describes: ClassVar[bool] = False
    # What asked for it, if not a command line.
    command: str = ""
    # Files that a finished run has besides run.json.
    needed: ClassVar[tuple[str, ...]] = ()

    @classmethod
    @abstractmethod
    def of(cls, options: Any) -> "Experiment":
        """Build the experiment from an instance of `options`. Raises RequestError."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """The whole request as JSON data: the identity of its run."""

    @abstractmethod
    def directory_name(self) -> str:
        """A readable directory name, unique to the request."""

    def products(self) -> tuple[str, ...]:
        """The names of all files that it writes besides run.json and reports."""
        return self.needed

    def check(self) -> None:  # noqa: B027 (some requests need no further checks)
        """Check the request before work starts. Raises RequestError."""

    def prepare(self, folder: Path) -> None:  # noqa: B027 (most have nothing to prepare)
        """Checks that require resources such as models, before anything is written. Raises RequestError."""

    def describe(self, folder: Path, say: Callable[[str], None]) -> None:  # noqa: B027
        """Print the planned work and its cost (--dry-run)."""

    def failure(self, run: RunDirectory) -> WorkError | None:
        """The error to raise after a finished run with failed calls; None without failures."""
        return None

    @abstractmethod
    def work(self, session: Session, on_progress: OnProgress) -> None:
        """Do the remaining work in the session's directory, and add to its results.

        Raises WorkError if the work must stop early.
        """

    @classmethod
    @abstractmethod
    def report(cls, runs: Sequence[RunDirectory]) -> "Report":
        """The report of finished runs of this kind. Raises RequestError if they are not comparable."""

    def state(self, run: RunDirectory) -> State:
        """The state of this request's run in a directory. Raises RequestError if it contains a different run."""
        with readable(run.path):
            run.check_request(self.record())
            earlier = run.record
            if not earlier:
                return State.EMPTY
            current = not changed(earlier["versions"])
        if earlier.get("status") != "complete":
            return State.INTERRUPTED if current else State.STALE
        if not all((run.path / name).exists() for name in self.needed):
            return State.DAMAGED
        if not current:
            return State.OUTDATED
        return State.INCOMPLETE if earlier.get("failed") else State.FINISHED

    def run(self, folder: Path, on_progress: OnProgress = silent, keep_old: bool = False) -> RunDirectory:
        """Run in a directory, by the rule above. Raises RequestError and WorkError."""
        self.check()
        run = RunDirectory(folder)
        if kept := self._kept(run, keep_old):
            return kept
        self.prepare(folder)
        with run, self.session(run, keep_old) as session:
            if session is not None:
                self.work(session, on_progress)
                session.finish()
        return run

    @contextlib.contextmanager
    def session(self, run: RunDirectory, keep_old: bool = False) -> Iterator[Session | None]:
        """An execution in a locked directory; None if existing results are kept. The record is always updated."""
        if self._kept(run, keep_old):
            yield None
            return
        state, earlier = self.state(run), run.record
        if state is State.EMPTY:
            self._refuse_leftovers(run.path)
        if state in (State.OUTDATED, State.STALE):
            again = "rerunning" if state is State.OUTDATED else "restarting"
            log.warning("%s: %s (%s): %s", run.path, state.value, "; ".join(changed(earlier["versions"])), again)
        if state is State.DAMAGED:
            log.warning("%s: %s: restarting", run.path, state.value)
        if state is State.OUTDATED:
            self._set_aside(run.path)
        if state in (State.STALE, State.DAMAGED):
            self._clear(run.path)
        if state is State.INCOMPLETE:
            run.forget_parts()
        resumed = earlier if state is State.INTERRUPTED else {}
        there = {path.name for path in run.path.iterdir()}
        session = Session(run, RunRecord.opening(self.kind, self.record(), self.command), resumed)
        session.save()
        try:
            yield session
        except RequestError:
            # A request that failed before any result does not block the directory.
            if state is State.EMPTY and not run.parts.is_dir():
                self._clear(run.path, but=there)
                raise
            session.save()
            raise
        except BaseException:
            session.save()
            raise

    def _kept(self, run: RunDirectory, keep_old: bool) -> RunDirectory | None:
        """The run whose results are kept: this one, or with `keep_old` one made with other package versions."""
        state = self.state(run)
        if state is State.FINISHED:
            return run
        old = RunDirectory(run.path / OUTDATED)
        for one in (run, old) if keep_old else ():
            if one.record and self.state(one) is State.OUTDATED:
                log.warning("%s: %s (%s)", one.path, State.OUTDATED.value, "; ".join(changed(one.record["versions"])))
                return one
        return None

    def _files(self) -> set[str]:
        """The names of all that this kind writes."""
        return {"parts", "report.html", "report.md", *self.products(), "run.json"}

    def _refuse_leftovers(self, folder: Path) -> None:
        """Raise RequestError if there are files that this kind would take for its own, or write over."""
        if there := sorted(name for name in self._files() - {"run.json"} if (folder / name).exists()):
            raise RequestError(f"{folder} contains {there[0]} but no run.json: choose another --out")

    def _set_aside(self, folder: Path) -> None:
        """Move old results out of the way, whole: run.json goes last."""
        aside = folder / OUTDATED
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        for name in sorted(self._files(), key=lambda name: name == "run.json"):
            if (folder / name).exists():
                (folder / name).rename(aside / name)

    def _clear(self, folder: Path, but: Collection[str] = ()) -> None:
        """Remove the files of this kind, but those; other files are the user's."""
        for name in self._files() - set(but):
            path = folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
