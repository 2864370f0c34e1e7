"""Writes a report as HTML and Markdown."""

from pathlib import Path

from llm_icl.config.files import write_text
from llm_icl.errors import RequestError
from llm_icl.reports.document import Report
from llm_icl.reports.html import html_page
from llm_icl.reports.markdown import markdown_text


def write_report(report: Report, folder: Path) -> Path:
    """Write report.html and report.md to a folder. Returns the path of the HTML file.

    Raises RequestError if the folder is not writable.
    """
    page = folder / "report.html"
    try:
        write_text(page, html_page(report))
        write_text(folder / "report.md", markdown_text(report))
    except OSError as problem:
        raise RequestError(f"the output folder {folder} cannot be written: {problem.strerror}") from None
    return page
