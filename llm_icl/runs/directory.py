"""One directory under `outputs/`: what was asked, of whom, what came back."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from llm_icl.config.files import atomic_path, write_text
from llm_icl.errors import RequestError
from llm_icl.runs.opening import identity

if TYPE_CHECKING:
    import polars as pl

_PARTS = "parts"
_FIELDS = {"status", "request", "command", "versions"}
# A report alone is 1 MiB.
_LEAST_SPACE = 16 * 2**20


class RunDirectory:
    """A run's files. Each is written whole or not at all, so a run that dies goes on where it stopped.

    As a context it makes the directory and holds it: one process at a time.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "RunDirectory":
        """Raises RequestError where the directory cannot be written, or another process holds it."""
        try:
            existing = next(parent for parent in (self.path, *self.path.absolute().parents) if parent.is_dir())
            if shutil.disk_usage(existing).free < _LEAST_SPACE:
                raise RequestError(
                    f"there is no space for the output folder {self.path}: it takes {_LEAST_SPACE >> 20} MiB"
                )
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise RequestError(f"the output folder {self.path} cannot be written: {problem.strerror}") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise RequestError(f"another process is writing the run {self.path}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @classmethod
    def finished(cls, path: Path) -> "RunDirectory":
        """The finished run in a folder. Raises RequestError where there is none."""
        if not (path / "run.json").is_file():
            raise RequestError(f"{path} is not a run: it has no run.json")
        run = cls(path)
        if run.record["status"] != "complete":
            raise RequestError(f"{path} holds a run that is not finished: re-run its command")
        return run

    @property
    def kind(self) -> str:
        """The kind of experiment; runs of the first version are evaluations and do not say so."""
        return str(self.record.get("kind", "eval"))

    @property
    def record(self) -> dict[str, Any]:
        """The content of run.json; empty where there is none yet."""
        try:
            record: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (json.JSONDecodeError, UnicodeDecodeError, OSError) as problem:
            raise RequestError(f"{self.path / 'run.json'} cannot be read: {problem}") from None
        if not isinstance(record, dict) or not set(record) >= _FIELDS:
            raise RequestError(f"{self.path / 'run.json'} is not the record of a run")
        return record

    def is_of(self, request: dict[str, Any]) -> bool:
        """Whether the directory is this request's. An empty one is everyone's."""
        record = self.record
        return not record or identity(record["request"]) == identity(json.loads(json.dumps(request)))

    def check_request(self, request: dict[str, Any]) -> None:
        """Raise RequestError where the directory holds another request's run."""
        if not self.is_of(request):
            raise RequestError(f"{self.path} already contains a different run: choose another --out")

    def write_record(self, record: dict[str, Any]) -> None:
        write_text(self.path / "run.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n")

    @property
    def parts(self) -> Path:
        """The folder of what is finished of a run that is not."""
        return self.path / _PARTS

    def part(self, name: str) -> "pl.DataFrame | None":
        """The predictions of one learner on one cell, where they were finished."""
        path = self.parts / f"{name}.parquet"
        return _read(path) if path.is_file() else None

    def write_part(self, name: str, frame: "pl.DataFrame") -> None:
        with atomic_path(self.parts / f"{name}.parquet") as temporary:
            frame.write_parquet(temporary)

    def finish(self, frames: Iterable["pl.DataFrame"], exchanges: Iterable[dict[str, Any]]) -> None:
        """Join the parts, and write down what was exchanged with models."""
        import polars as pl

        with atomic_path(self.path / "predictions.parquet") as temporary:
            pl.concat(list(frames)).write_parquet(temporary)
        lines = [json.dumps(exchange, ensure_ascii=False) + "\n" for exchange in exchanges]
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
        path = self.path / "predictions.parquet"
        if not path.is_file():
            raise RequestError(f"{self.path} holds no finished run: there is no predictions.parquet")
        return _read(path)

    def exchanges(self) -> list[dict[str, Any]]:
        path = self.path / "exchanges.jsonl"
        if not path.is_file():
            return []
        try:
            return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        except (json.JSONDecodeError, UnicodeDecodeError, OSError) as problem:
            raise RequestError(f"{path} cannot be read: {problem}") from None


def _read(path: Path) -> "pl.DataFrame":
    import polars as pl

    try:
        return pl.read_parquet(path)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise RequestError(f"{path} cannot be read: {str(problem).splitlines()[0]}") from None
