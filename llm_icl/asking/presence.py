"""Which of the processes that share a cache of calls are alive. Each holds a locked file beside it, which the system
unlocks at its death: what an asker has in flight is waited for while it lives, and taken over when it is dead.
"""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

# The end of a file's name until it is locked.
_NEW = ".new"


class Presence:
    """This process, under a name that no other has had."""

    def __init__(self, cache: Path) -> None:
        """Raises OSError if its file cannot be written."""
        self.name = uuid4().hex[:16]
        self._path = _path(cache, self.name)
        unlocked = self._path.with_name(self._path.name + _NEW)
        self._file = os.open(unlocked, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        unlocked.rename(self._path)  # nobody sees it before it is locked

    def close(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)


def is_alive(cache: Path, name: str) -> bool:
    """Whether an asker's process lives."""
    try:
        file = os.open(_path(cache, name), os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(file)
    return False


def names(cache: Path) -> Iterator[str]:
    """The askers that have a file, dead ones among them."""
    start = f"{cache.name}-asker-"
    for path in cache.parent.glob(f"{start}*"):
        if not path.name.endswith(_NEW):
            yield path.name.removeprefix(start)


def bury(cache: Path, name: str) -> None:
    """Remove the file of a dead asker."""
    _path(cache, name).unlink(missing_ok=True)


def _path(cache: Path, name: str) -> Path:
    return cache.with_name(f"{cache.name}-asker-{name}")
