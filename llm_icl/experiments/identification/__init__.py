"""Which learning algorithm a subject runs in context."""

from llm_icl.experiments.identification import experiment  # registers itself

__all__ = ["experiment"]
