"""Run directories, and the cache of every call to a model."""

from llm_icl.runs.calls import Call, CallCache, call_key
from llm_icl.runs.directory import RunDirectory

__all__ = ["Call", "CallCache", "RunDirectory", "call_key"]
