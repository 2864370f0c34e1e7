"""The command line: one module a verb, nothing but parsing and printing."""
