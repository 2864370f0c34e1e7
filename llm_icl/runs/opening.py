"""The common fields of run.json."""

import hashlib
import json
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from llm_icl.config.secrets import redact
from llm_icl.runs.versions import versions

# Texts of cards that change nothing of what is asked.
_FOR_READERS = ("description", "source")


@dataclass
class RunRecord:
    """The fields of run.json that all kinds of runs have; kinds add their own."""

    kind: str
    """Which kind of experiment: `eval`, `train`, `probe`, `train-lm`, `finetune-vs-icl`, or a plug-in's own."""
    status: str
    """`running` until all results are written, then `complete`."""
    command: str
    """The command line, with keys redacted."""
    request: dict[str, Any]
    """The complete request; it identifies the run."""
    started: str
    """The time of the first start: an ISO date and time, UTC."""
    versions: dict[str, str]
    """Package versions by name, Python's, and the git commit of a checkout."""
    wall_seconds: float = 0.0
    """Total seconds over all resumptions."""
    finished: str = ""
    """The time at which it was finished, as `started`; empty until then."""

    @classmethod
    def opening(cls, kind: str, request: dict[str, Any]) -> "RunRecord":
        """The record of a run that starts now."""
        return cls(kind, "running", command_line(), request, now(), versions())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line() -> str:
    """The command line, with keys redacted."""
    return redact(shlex.join(["llm-icl", *sys.argv[1:]]))


def identity(request: Any) -> Any:
    """The part of a request that decides what is asked: all but what cards only say to readers."""
    if isinstance(request, dict):
        return {key: identity(value) for key, value in request.items() if key not in _FOR_READERS}
    return [identity(value) for value in request] if isinstance(request, list | tuple) else request


def digest(request: Any) -> str:
    """A short name for a request, the same for all that ask the same."""
    return hashlib.sha256(json.dumps(identity(request), sort_keys=True, default=str).encode()).hexdigest()[:8]
