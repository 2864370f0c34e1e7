"""The parts of an evaluation report."""
