"""Loads tasks, draws problems, and exports them."""
