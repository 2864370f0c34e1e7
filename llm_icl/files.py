"""Files that are written whole or not at all, and the folders that data comes from."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).parent


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block ends well and removed when it does not."""
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
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def data_folders(kind: str, own: Path | None) -> list[Path]:
    """Where `kind` ("tasks" or "prompts") is looked for, the user's own folder first.

    The own folder is the one named on the command line, else ./KIND; then comes what the wheel carries, or the top
    level of a checkout.
    """
    shipped = [PACKAGE / "data" / kind, PACKAGE.parent / kind]
    folders = [own or Path(kind), *shipped]
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current
