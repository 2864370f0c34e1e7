"""Users' templates and the chat templates of models, filled in within bounded time and memory: in a process of its own,
which is ended if it takes too long. A template is a program; a slip in one must not take the machine with it.
"""

import atexit
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

# Seconds that one text may take.
SECONDS = 5.0


class TemplateFailedError(Exception):
    """Why a template cannot be filled in, and its line (0 if unknown)."""

    def __init__(self, reason: str, line: int = 0) -> None:
        super().__init__(reason)
        self.line = line


class TemplateOutOfBoundsError(TemplateFailedError):
    """It takes too long, or too much memory: whatever it is filled in with."""


class _Cell:
    """The process, started when it is first needed and after it has been ended. Shared by all templates."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def ask(self, what: str, *of: Any) -> Any:
        """Raises TemplateFailedError."""
        with self._lock:
            process = self._started()
            line = json.dumps({"what": what, "of": of}).encode() + b"\n"
            try:
                assert process.stdin is not None
                process.stdin.write(line)
                process.stdin.flush()
                said = self._line(process)
            except TimeoutError:
                self.end()
                raise TemplateOutOfBoundsError(f"it takes more than {SECONDS:g} s") from None
            except (OSError, EOFError):
                self.end()
                raise TemplateOutOfBoundsError("it takes more memory than a template may") from None
        if "error" in said:
            raise TemplateFailedError(said["error"], said["line"])
        return said["is"]

    def end(self) -> None:
        if self._process is not None and self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
        self._process = None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
            command = [sys.executable, "-I", str(Path(__file__).with_name("cell.py"))]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self._owner = os.getpid()
        return self._process

    def _line(self, process: "subprocess.Popen[bytes]") -> Any:
        """The next line of its output. Raises TimeoutError, and EOFError if it has ended."""
        assert process.stdout is not None
        output, received, deadline = process.stdout.fileno(), b"", time.monotonic() + SECONDS
        waiting = select.poll()  # unlike select() also of a file whose number is above 1,023
        waiting.register(output, select.POLLIN)
        while not received.endswith(b"\n"):
            left = deadline - time.monotonic()
            if left <= 0 or not waiting.poll(1000 * left):
                raise TimeoutError
            piece = os.read(output, 2**20)
            if not piece:
                raise EOFError
            received += piece
        return json.loads(received)


_CELL = _Cell()
atexit.register(_CELL.end)


class LimitedTemplate:
    """A template of a user or of a model."""

    def __init__(self, body: str) -> None:
        self._body = body

    def undeclared(self) -> dict[str, int]:
        """The names that it uses, with the first line of each. Raises TemplateFailedError for an invalid template."""
        return dict(_CELL.ask("undeclared", self._body))

    def render(self, **names: Any) -> str:
        """Raises TemplateFailedError."""
        return str(_CELL.ask("text", self._body, names))

    def chat(self, **names: Any) -> str:
        """The text of a chat template. Raises TemplateFailedError."""
        return str(_CELL.ask("chat", self._body, names))

    def label(self, pattern: str, reply: str) -> str | None:
        """The group `label` of a regular expression that matches a whole reply; None if it does not."""
        found = _CELL.ask("label", pattern, reply)
        return None if found is None else str(found)
