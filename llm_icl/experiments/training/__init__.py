"""A network that learns in context, and how it was trained."""

from llm_icl.experiments.training import experiment  # registers itself

__all__ = ["experiment"]
