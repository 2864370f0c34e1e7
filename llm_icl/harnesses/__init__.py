"""The tasks in other evaluation harnesses: inspect_ai by its entry point, lm-evaluation-harness by a task folder.

Their logs are read by `llm_icl/backends/collected`, like any answers that were collected elsewhere.
"""
