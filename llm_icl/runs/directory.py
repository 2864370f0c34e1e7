"""One directory under `outputs/`: request, versions, results."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llm_icl.config.files import atomic_path, write_text
from llm_icl.config.secrets import redacted
from llm_icl.errors import RequestError, WorkError
from llm_icl.runs.opening import identity

if TYPE_CHECKING:
    import polars as pl

_PARTS = "parts"
_FIELDS = {"status": str, "request": dict, "command": str, "versions": dict}
# A report takes 1 MiB.
_MIN_SPACE = 16 * 2**20


@contextmanager
def readable(*paths: Path) -> Iterator[None]:
    """While files of a run are read, which may hold anything: whatever does not fit becomes a RequestError that names
    the runs.
    """
    try:
        yield
    except (RequestError, WorkError):
        raise
    except Exception:
        if os.environ.get("LLM_ICL_TRACEBACK"):
            raise
        names = ", ".join(map(str, paths))
        raise RequestError(f"{names}: files are damaged, or were written by another version") from None


class RunDirectory:
    """A run's files. Writes are atomic: a killed run can be resumed.

    As a context manager it creates and locks the directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "RunDirectory":
        """Raises RequestError if the directory is not writable, or locked by another process."""
        try:
            existing = next(parent for parent in (self.path, *self.path.absolute().parents) if parent.is_dir())
            if shutil.disk_usage(existing).free < _MIN_SPACE:
                raise RequestError(
                    f"not enough disk space for {self.path}: at least {_MIN_SPACE >> 20} MiB are required"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise RequestError(f"the output folder {self.path} cannot be written: {problem.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise RequestError(f"the run {self.path} is in use by another process") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @classmethod
    def finished(cls, path: Path) -> "RunDirectory":
        """The finished run in a folder. Raises RequestError if there is none."""
        if not (path / "run.json").is_file():
            raise RequestError(f"{path} is not a run: it has no run.json")
        run = cls(path)
        if run.record["status"] != "complete":
            raise RequestError(f"{path} is an unfinished run: re-run its command to resume it")
        return run

    @property
    def kind(self) -> str:
        """The kind of experiment; runs of the first version are evaluations without this field."""
        return str(self.record.get("kind", "eval"))

    @property
    def record(self) -> dict[str, Any]:
        """The content of run.json; empty if it does not exist yet."""
        try:
            record: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except RecursionError:
            raise RequestError(f"{self.path / 'run.json'} cannot be read: it is nested too deeply") from None
        except (ValueError, OSError) as problem:
            said = getattr(problem, "strerror", None) or str(problem)
            raise RequestError(f"{self.path / 'run.json'} cannot be read: {said}") from None
        if not isinstance(record, dict) or not all(isinstance(record.get(key), kind) for key, kind in _FIELDS.items()):
            raise RequestError(f"{self.path / 'run.json'} is not the record of a run")
        return record

    def is_of(self, request: dict[str, Any]) -> bool:
        """Whether the directory contains this request's run, or is empty."""
        record = self.record
        return not record or identity(record["request"]) == identity(json.loads(json.dumps(request)))

    def check_request(self, request: dict[str, Any]) -> None:
        """Raise RequestError if the directory contains a different run."""
        if not self.is_of(request):
            raise RequestError(f"{self.path} already contains a different run: choose another --out")

    def write_record(self, record: dict[str, Any]) -> None:
        write_text(self.path / "run.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    @property
    def parts(self) -> Path:
        """The folder of finished parts of an unfinished run."""
        return self.path / _PARTS

    def part(self, name: str) -> "pl.DataFrame | None":
        """The predictions of one learner on one cell, if finished."""
        path = self.parts / f"{name}.parquet"
        return _read(path) if path.is_file() else None

    def write_part(self, name: str, frame: "pl.DataFrame") -> None:
        with atomic_path(self.parts / f"{name}.parquet") as temporary:
            frame.write_parquet(temporary)

    def finish(self, frames: Iterable["pl.DataFrame"], exchanges: Iterable[dict[str, Any]]) -> None:
        """Join the parts, and write the exchanges with models."""
        import polars as pl

        with atomic_path(self.path / "predictions.parquet") as temporary:
            pl.concat(list(frames)).write_parquet(temporary)
        lines = [json.dumps(redacted(exchange), ensure_ascii=False) + "\n" for exchange in exchanges]
        if lines:
            write_text(self.path / "exchanges.jsonl", "".join(lines))

    def forget_parts(self) -> None:
        """Remove the parts of a run that is complete."""
        folder = self.parts
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def predictions(self) -> "pl.DataFrame":
        from llm_icl.predictions import fault_of

        path = self.path / "predictions.parquet"
        if not path.is_file():
            raise RequestError(f"{self.path} is not a finished run: predictions.parquet is missing")
        frame = _read(path)
        if wrong := fault_of(frame):
            raise RequestError(f"{path} is damaged: {wrong}")
        return frame

    def exchanges(self) -> list[dict[str, Any]]:
        path = self.path / "exchanges.jsonl"
        if not path.is_file():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        except (ValueError, RecursionError, OSError) as problem:
            raise RequestError(f"{path} cannot be read: {problem}") from None


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl

    try:
        return pl.read_parquet(path, glob=False)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise RequestError(f"{path} cannot be read: {str(problem).splitlines()[0]}") from None
