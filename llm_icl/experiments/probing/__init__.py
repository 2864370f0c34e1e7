"""Scores of attention heads."""

from llm_icl.experiments.probing import experiment  # registers itself

__all__ = ["experiment"]
