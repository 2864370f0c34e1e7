"""Attentions compared in language modelling."""

from llm_icl.experiments.language_modelling import experiment  # registers itself

__all__ = ["experiment"]
