"""What is in a folder of runs."""

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llm_icl.errors import RequestError
from llm_icl.runs.directory import RunDirectory, readable

# Where a request names what it is about.
_TASKS = ("tasks", "dataset")
_MODELS = ("models", "trained", "answers", "model", "attentions", "shape")


@dataclass(frozen=True)
class ListedRun:
    """A run as a list shows it. Of one that cannot be read, `folder`, `state`, `started` and `reason` are known."""

    folder: str
    state: str
    """`finished`, `unfinished`, or `unreadable` for the given `reason`."""
    started: str
    """ISO date and time, UTC; of an unreadable run, the time of its last change."""
    kind: str = ""
    tasks: tuple[str, ...] = ()
    n: tuple[int, ...] = ()
    models: tuple[str, ...] = ()
    """Language models, networks, architectures or files of answers."""
    finished: str = ""
    failed_calls: int = 0
    """Calls without an answer, which re-running the command makes again."""
    cost: float | None = None
    """US dollars; None where they are not all known."""
    reason: str = ""


def listed_runs(folder: Path) -> list[ListedRun]:
    """All runs in a folder and those below it, the newest first. Raises RequestError if it is not a folder."""
    if not folder.is_dir():
        raise RequestError(f"{folder} is not a folder")
    return sorted(map(_listed, run_folders(folder)), key=lambda run: (run.started, run.folder), reverse=True)


def short_names(runs: Sequence[RunDirectory]) -> list[str]:
    """The end of each run's path, as long as is needed to tell them apart."""
    paths = [run.path.resolve() for run in runs]
    for length in range(1, max(len(path.parts) for path in paths)):
        names = ["/".join(path.parts[-length:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            return names
    return list(map(str, paths))


def finished_runs(path: Path) -> list[RunDirectory]:
    """The finished run in a folder, or all of a suite's. Raises RequestError if there is none, or one is unfinished."""
    inner = sorted(child for child in path.iterdir() if (child / "run.json").is_file()) if path.is_dir() else []
    alone = (path / "run.json").is_file() or not inner
    return [RunDirectory.finished(run) for run in ([path] if alone else inner)]


def run_folders(folder: Path) -> Iterator[Path]:
    """The folders of runs, in alphabetical order. What is inside a run belongs to it."""
    for place, inner, files in os.walk(folder):
        if "run.json" in files:
            inner.clear()
            yield Path(place)
            continue
        inner.sort()
        for name in inner:
            linked = Path(place, name)
            if linked.is_symlink() and (linked / "run.json").is_file():
                yield linked


def _listed(path: Path) -> ListedRun:
    try:
        with readable(path):
            return _of(path, RunDirectory(path).record)
    except RequestError as problem:
        changed = datetime.fromtimestamp((path / "run.json").lstat().st_mtime, UTC)
        return ListedRun(str(path), "unreadable", changed.isoformat(timespec="seconds"), reason=str(problem))


def _of(path: Path, record: Mapping[str, Any]) -> ListedRun:
    request = record["request"]
    cost = record.get("cost")
    return ListedRun(
        folder=str(path),
        state="finished" if record["status"] == "complete" else "unfinished",
        started=str(record.get("started", "")),
        kind=RunDirectory(path).kind,
        tasks=tuple(name for key in _TASKS for name in _names(request.get(key))),
        n=tuple(map(int, request.get("n", ()))),
        models=tuple(name for key in _MODELS for name in _names(request.get(key))),
        finished=str(record.get("finished", "")),
        failed_calls=sum(map(int, record.get("failed", {}).values())),
        cost=None if cost is None or not math.isfinite(cost) or record.get("unpriced") else float(cost),
    )


def _names(named: Any) -> list[str]:
    """The names of one or several parts of a request."""
    if isinstance(named, Mapping):
        return [str(named.get("name") or named["architecture"])]
    return [name for each in named for name in ([each] if isinstance(each, str) else _names(each))] if named else []
