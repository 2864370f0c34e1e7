"""Run directories, and the cache of every call to a model."""

from llm_icl.runs.calls import Call, CallCache, call_key
from llm_icl.runs.directory import RunDirectory
from llm_icl.runs.opening import command_line, opening_record

__all__ = ["Call", "CallCache", "RunDirectory", "call_key", "command_line", "opening_record"]
