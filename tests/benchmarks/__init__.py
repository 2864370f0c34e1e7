"""Benchmarks: `make bench` runs all, `python -m tests.benchmarks NAME` one. Each prints a ratio against a reference
that is measured in the same run, so that the machine cancels out."""
