"""Comparison reports: one HTML file to explore, one Markdown file to read and print."""
