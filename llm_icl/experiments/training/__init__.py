"""Training networks to learn in context."""

from llm_icl.experiments.training import experiment  # registers itself

__all__ = ["experiment"]
