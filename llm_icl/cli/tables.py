"""A report's tables as data."""

import json
from collections.abc import Mapping
from pathlib import Path

import click

# The headers and the rows.
Table = tuple[list[str], list[list[str]]]


def print_json(tables: Mapping[str, Table], report: Path) -> None:
    """Each table as a list of its rows, and where the report is."""
    data = {name: [dict(zip(headers, row, strict=True)) for row in rows] for name, (headers, rows) in tables.items()}
    click.echo(json.dumps(data | {"report": str(report)}, indent=2))
