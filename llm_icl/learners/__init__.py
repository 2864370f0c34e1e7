"""Anything that gives P(y = 1) at the positions of a problem. One file a kind."""

from llm_icl.learners.base import Learner, learner_of, learners

__all__ = ["Learner", "learner_of", "learners"]
