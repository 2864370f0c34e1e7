"""Suites: matrices of experiments, and their execution."""
