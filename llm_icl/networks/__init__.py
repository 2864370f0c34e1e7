"""Builds networks from names, and loads them from training runs."""
