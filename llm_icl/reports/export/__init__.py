"""A report for a paper: figures, tables and numbers as files that LaTeX documents include."""

from llm_icl.reports.export.folder import write_export

__all__ = ["write_export"]
