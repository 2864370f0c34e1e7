"""A report's tables as data."""

import json
from collections.abc import Mapping
from pathlib import Path

import click


def print_json(tables: Mapping[str, tuple[list[str], list[list[str]]]], report: Path) -> None:
    """Each table, its headers and its rows, as a list of rows; and where the report is."""
    data = {name: [dict(zip(headers, row, strict=True)) for row in rows] for name, (headers, rows) in tables.items()}
    click.echo(json.dumps(data | {"report": str(report)}, indent=2))
