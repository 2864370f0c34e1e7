"""`llm-icl sample`: problems for use elsewhere."""

from pathlib import Path
from typing import Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.tasks.options import DrawingOptions


@click.command("sample", context_settings={"show_default": True})
@declared_options(DrawingOptions)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="FILE.npz, .jsonl, .parquet, or a folder for a Hugging Face dataset.",
)
def command(target: Path, **chosen: Any) -> None:
    """Draw problems into a file: inputs, true labels, labels as shown, and function parameters."""
    from llm_icl.config.specs import counted
    from llm_icl.tasks.drawing import draw
    from llm_icl.tasks.exporting import export

    problems = draw(DrawingOptions.of(chosen))
    export(problems, target)
    click.echo(f"{counted(len(problems), 'problem')} of {counted(problems.points, 'point')}: {target}")
