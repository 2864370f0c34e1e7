"""Parses and validates user input: names with options, cards, files, secrets."""
