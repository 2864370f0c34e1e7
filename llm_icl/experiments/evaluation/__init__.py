"""Learners × tasks → predictions."""

from llm_icl.experiments.evaluation import experiment  # registers itself

__all__ = ["experiment"]
