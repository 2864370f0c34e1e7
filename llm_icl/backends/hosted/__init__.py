"""Models behind a provider's HTTP interface."""

from llm_icl.backends.hosted import anthropic, openai  # both register themselves

__all__ = ["anthropic", "openai"]
