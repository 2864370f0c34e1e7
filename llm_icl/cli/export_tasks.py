"""`llm-icl export-tasks`: tasks for another evaluation harness."""

from pathlib import Path
from typing import Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.tasks.options import QueryOptions


@click.command("export-tasks", context_settings={"show_default": True})
@click.argument("folder", type=click.Path(path_type=Path))
@declared_options(QueryOptions)
@click.option("--to", required=True, type=click.Choice(["lm-eval"]), help="The harness.")
def command(folder: Path, to: str, **chosen: Any) -> None:
    """Write FOLDER, with a task for each --task and --n: prompts of drawn problems, choices, targets and positions.

    lm-eval: lm_eval --tasks llm_icl --include_path FOLDER --log_samples …, and llm-icl import reads its log.
    inspect_ai needs no folder: inspect eval llm_icl/boolean.
    """
    from llm_icl.harnesses import lm_eval
    from llm_icl.tasks.queries import queries

    for name in lm_eval.export(queries(QueryOptions.of(chosen)), folder):
        click.echo(name)
