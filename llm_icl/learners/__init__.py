"""Learners: P(y = 1) at each position of a problem. One file per kind."""

from llm_icl.learners.base import Learner, learner_of, learners, parse_learners

__all__ = ["Learner", "learner_of", "learners", "parse_learners"]
