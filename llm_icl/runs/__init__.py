"""Run directories: request, versions, results."""

from llm_icl.runs.directory import RunDirectory, readable
from llm_icl.runs.opening import RunRecord, command_line, digest

__all__ = ["RunDirectory", "RunRecord", "command_line", "digest", "readable"]
