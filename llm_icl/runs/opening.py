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

# The cards among the parts of a request, and those of their fields that change nothing of what is asked.
_CARDS = ("tasks", "tests", "dataset")
_FOR_READERS = ("description", "source")


@dataclass
class RunRecord:
    """The fields of run.json that all kinds of runs have; kinds add their own."""

    kind: str
    """Which kind of experiment: `eval`, `identify`, `train`, `probe`, `train-lm`, `finetune-vs-icl` or a plug-in's."""
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
    def opening(cls, kind: str, request: dict[str, Any], command: str = "") -> "RunRecord":
        """The record of a run that starts now."""
        return cls(kind, "running", command or command_line(), request, now(), versions())


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def command_line() -> str:
    """The command line, with keys redacted."""
    return redact(shlex.join(["llm-icl", *sys.argv[1:]]))


def identity(request: dict[str, Any]) -> dict[str, Any]:
    """The part of a request that decides what is asked: all but what its cards only say to readers."""
    return {key: _asked(value) if key in _CARDS else value for key, value in request.items()}


def _asked(cards: Any) -> Any:
    if isinstance(cards, dict):
        return {key: value for key, value in cards.items() if key not in _FOR_READERS}
    return [_asked(card) for card in cards] if isinstance(cards, list | tuple) else cards


def digest(data: Any) -> str:
    """A short hash of JSON data; of a request, the same for all that ask the same."""
    asked = identity(data) if isinstance(data, dict) else data
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:8]
