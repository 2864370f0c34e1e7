"""The kinds of experiments, one folder each."""
