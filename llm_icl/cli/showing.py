"""A report is written into a folder and printed: the same for all verbs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llm_icl.reports.document import Report


def show(report: "Report", folder: Path, as_json: bool, **more: str) -> None:
    """Put report.html and report.md into the folder, and print the report; `more` are further fields of the JSON.

    Raises RequestError where the folder cannot be written.
    """
    from llm_icl.config.files import write_text
    from llm_icl.errors import RequestError
    from llm_icl.reports.data import report_data
    from llm_icl.reports.html import html_page
    from llm_icl.reports.markdown import markdown_text
    from llm_icl.reports.terminal import terminal_text

    page = folder / "report.html"
    try:
        write_text(page, html_page(report))
        write_text(folder / "report.md", markdown_text(report))
    except OSError as problem:
        raise RequestError(f"the output folder {folder} cannot be written: {problem.strerror}") from None
    if as_json:
        click.echo(json.dumps(report_data(report) | {"report": str(page), **more}, indent=2, allow_nan=False))
    else:
        click.echo(f"{terminal_text(report)}\n\nreport: {page}")
