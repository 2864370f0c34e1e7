"""Atomic file writes, and the folders of data files."""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llm_icl.config.specs import canonical_name
from llm_icl.errors import RequestError

PACKAGE = Path(__file__).parents[1]


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it on success and removed on failure."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write any text: half a surrogate pair becomes its escape, which JSON reads as the same."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when all is written. Raises RequestError if that exists."""
    if folder.exists():
        raise RequestError(f"{folder} already exists: choose a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as work:
        written = Path(work) / "written"
        written.mkdir()
        yield written
        written.rename(folder)


def identifier(name: str) -> str:
    """A name of letters, digits and underscores; names that differ in other characters alone may give the same."""
    return re.sub(r"\W+", "_", file_name(name), flags=re.ASCII)


def file_name(name: str) -> str:
    """A name for a file: readable, not too long, and different for different names."""
    plain = "".join(c if c.isalnum() or c in "-+.=" else "_" for c in name)[:60]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def data_files(kind: str, suffix: str, own: Path | None) -> dict[str, Path]:
    """The files of a kind ("tasks" or "prompts") by name, a user's own files override shipped ones.

    The user's folder is given on the command line, else ./KIND. Shipped files are in the wheel, or at the top level of
    a checkout.
    """
    found: dict[str, Path] = {}
    for folder in (own or Path(kind), PACKAGE / "data" / kind, PACKAGE.parent / kind):
        for path in folder.glob(f"*{suffix}"):
            found.setdefault(canonical_name(path.stem), path)
    return dict(sorted(found.items()))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
