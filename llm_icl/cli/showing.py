"""Writes a report to a folder and prints it; used by all verbs."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llm_icl.reports.document import Report


def show(report: "Report", folder: Path, as_json: bool, **more: str) -> None:
    """Write report.html and report.md to the folder, and print the report; `more` are additional JSON fields.

    Raises RequestError if the folder is not writable.
    """
    from llm_icl.reports.data import report_data
    from llm_icl.reports.files import write_report
    from llm_icl.reports.terminal import terminal_text

    page = write_report(report, folder)
    if as_json:
        click.echo(json.dumps(report_data(report) | {"report": str(page), **more}, indent=2, allow_nan=False))
    else:
        click.echo(f"{terminal_text(report)}\n\nreport: {page}")
