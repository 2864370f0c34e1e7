"""Evaluate models and learners on the same problems."""

KIND = "eval"
