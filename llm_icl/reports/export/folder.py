"""Writes an export to a folder, which may hold files of its owner."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from llm_icl.config.files import atomic_path, write_text
from llm_icl.errors import RequestError
from llm_icl.progress import OnProgress, silent
from llm_icl.reports.document import Report
from llm_icl.reports.export.files import files_of

# The names of the files that an export wrote, each with the hash of its content.
MANIFEST = "export.json"
_FORMAT = 1
_NAMED = 3


def write_export(report: Report, folder: Path, on_progress: OnProgress = silent) -> None:
    """Write every figure, table and number of a report. All are made before the first is written.

    Files of an earlier export are replaced, and removed if they are no longer part of it. Other files stay. Where one
    of them has a name that is needed, or a file was changed since, a RequestError names it and nothing is written.
    """
    try:
        earlier = _earlier(folder)
        files = files_of(report, on_progress)
        _refuse_others(folder, files, earlier)
        for name, content in files.items():
            with atomic_path(folder / name) as temporary:
                temporary.write_bytes(content)
        for name in earlier.keys() - files.keys():
            if _hash_of(folder / name) == earlier[name]:
                (folder / name).unlink()
        hashes = {name: _hash(content) for name, content in files.items()}
        manifest = {"format": _FORMAT, "title": report.title, "files": hashes}
        write_text(folder / MANIFEST, json.dumps(manifest, indent=2, ensure_ascii=False) + "\n")
    except OSError as problem:
        raise RequestError(f"the folder {folder} cannot be written: {problem.strerror}") from None


def _earlier(folder: Path) -> dict[str, str]:
    """What an earlier export wrote; nothing without one. Raises RequestError if its list is not one."""
    path = folder / MANIFEST
    if not path.exists():
        return {}
    try:
        files = json.loads(path.read_text(encoding="utf-8"))["files"]
        return {str(name): str(hashed) for name, hashed in files.items() if Path(name).name == name}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise RequestError(f"{path} is not the list of an export's files: choose another folder") from None


def _refuse_others(folder: Path, files: Mapping[str, bytes], earlier: Mapping[str, str]) -> None:
    others = [
        name
        for name, content in files.items()
        if (folder / name).exists() and _hash_of(folder / name) not in (earlier.get(name), _hash(content))
    ]
    if others:
        raise RequestError(
            f"{folder} holds {_some(others)}, not written by an export or changed since: move them, or choose another "
            "folder"
        )


def _some(names: Iterable[str]) -> str:
    names = sorted(names)
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _hash_of(path: Path) -> str:
    return _hash(path.read_bytes()) if path.is_file() else ""
