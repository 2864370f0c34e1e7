"""Run directories: what was asked, of whom, what came back."""

from llm_icl.runs.directory import RunDirectory
from llm_icl.runs.opening import command_line, opening_record

__all__ = ["RunDirectory", "command_line", "opening_record"]
