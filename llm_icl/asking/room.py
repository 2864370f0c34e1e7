"""Room on disk for the replies that are in flight, set aside before requests are sent."""

import os
import resource
import tempfile
from pathlib import Path

from llm_icl.errors import RequestError

# 32 KiB for each of 256 requests in flight; a reply with 20 top tokens takes 3.
_ROOM = 8 * 2**20


class Room:
    """A file without a name that keeps the room, so that it is free when the process dies."""

    def __init__(self, path: Path) -> None:
        """`path` is the file that will need the room. Raises RequestError if there is none."""
        self._path = path
        self._file = None
        try:
            self._file = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 (kept open until it is given up)
            os.posix_fallocate(self._file.fileno(), 0, _ROOM)
        except OSError as problem:
            self.give_up()
            raise RequestError(
                f"{_ROOM >> 20} MiB on disk for replies to {path} are unavailable: {problem.strerror}"
            ) from None

    def check(self) -> None:
        """Raise RequestError if the file nears the limit on the size of files, for which no room helps."""
        most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        if most == resource.RLIM_INFINITY:
            return
        files = [self._path, self._path.with_name(self._path.name + "-wal")]
        if max(file.stat().st_size for file in files if file.exists()) + _ROOM > most:
            raise RequestError(
                f"the limit on the size of files (ulimit -f) leaves less than {_ROOM >> 20} MiB "
                f"for replies in {self._path}: nothing more is sent"
            )

    def give_up(self) -> None:
        """Let the file take the room."""
        if self._file is not None:
            self._file.close()
            self._file = None
