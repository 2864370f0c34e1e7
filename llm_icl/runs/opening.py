"""What every run.json begins with."""

import hashlib
import json
import shlex
import sys
from datetime import UTC, datetime
from typing import Any

from llm_icl.config.secrets import redact
from llm_icl.runs.versions import versions


def opening_record(kind: str, request: dict[str, Any]) -> dict[str, Any]:
    """The record of a run that begins now: what was asked, how, when, and of which versions."""
    return {
        "kind": kind,
        "status": "running",
        "command": command_line(),
        "request": request,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
    }


def command_line() -> str:
    """The command that was given, without keys."""
    return redact(shlex.join(["llm-icl", *sys.argv[1:]]))


def digest(record: Any) -> str:
    """A short name for JSON data."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, default=str).encode()).hexdigest()[:8]
