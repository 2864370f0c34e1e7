"""Comparison reports: one HTML file to explore, one Markdown file to read and print, from any number of runs."""

from llm_icl.reports.content import Content, gather
from llm_icl.reports.html import render_html
from llm_icl.reports.markdown import render_markdown, results_table

__all__ = ["Content", "gather", "render_html", "render_markdown", "results_table"]
