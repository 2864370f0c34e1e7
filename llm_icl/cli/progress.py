"""Progress on standard error: a bar on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from types import TracebackType
from typing import Any

from llm_icl.config.secrets import redact

# Seconds between two plain lines.
_PAUSE = 10.0


class Progress:
    """An OnProgress callback that displays one bar at a time."""

    def __init__(self) -> None:
        self._what = ""
        self._bar: Any = None
        self._spoke = time.monotonic()

    def __call__(self, what: str, done: int, whole: int) -> None:
        if not sys.stderr.isatty():
            if time.monotonic() - self._spoke > _PAUSE:
                print(f"{what} {done}/{whole}", file=sys.stderr, flush=True)
                self._spoke = time.monotonic()
            return
        from tqdm import tqdm

        if self._bar is None or what != self._what or whole != self._bar.total:
            self.close()
            self._bar = tqdm(total=whole, desc=what, leave=False, file=sys.stderr)
        self._what = what
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _WithoutKeys(logging.Formatter):
    """Messages of all libraries at all levels, with keys redacted."""

    def format(self, record: logging.LogRecord) -> str:
        return redact(super().format(record))


def speak() -> None:
    """Show the package's log messages, and silence those of libraries."""
    import os

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_WithoutKeys("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("llm_icl").setLevel(logging.INFO)
    for name in ("huggingface_hub", "httpx", "httpx2", "transformers"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "TRANSFORMERS_NO_ADVISORY_WARNINGS"):
        os.environ.setdefault(name, "1")
    # Else the hub's client sets a level of its own when it is imported, and says everything twice.
    os.environ.setdefault("HF_HUB_VERBOSITY", "critical")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
