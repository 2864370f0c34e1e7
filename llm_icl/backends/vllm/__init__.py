"""Large open models on vLLM: its engine in this process, or its server."""

from llm_icl.backends.vllm import choice, server  # both register themselves

__all__ = ["choice", "server"]
