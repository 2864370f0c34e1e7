"""A kind of experiment as a command: its options, its work, its results."""

from pathlib import Path
from typing import Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.experiments.base import Experiment


def command_of(kind: type[Experiment]) -> click.Command:
    """The command of a kind, made from its class: what it says of itself, and its declared options."""

    def carry_out(out: Path | None, as_json: bool, keep_old: bool, dry_run: bool = False, **chosen: Any) -> None:
        from llm_icl.cli.progress import Progress, speak
        from llm_icl.cli.showing import show
        from llm_icl.errors import RequestError

        speak()
        if out is not None and not out.name:
            raise RequestError(f"--out '{out}' does not name a folder")
        experiment = kind.of(kind.options.of(chosen))
        folder = out or Path("outputs") / experiment.directory_name()
        if dry_run:
            experiment.describe(folder, click.echo)
            return
        with Progress() as progress:
            run = experiment.run(folder, progress, keep_old)
        show(kind.report([run]), folder, as_json, run=str(folder))
        if failure := experiment.failure(run):
            raise failure

    for option in reversed(_own(kind)):
        carry_out = option(carry_out)
    with_options = declared_options(kind.options)(carry_out)
    return click.command(kind.kind, help=kind.__doc__, context_settings={"show_default": True})(with_options)


def _own(kind: type[Experiment]) -> list[Any]:
    dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done and what it would cost; do nothing.")
    return [
        click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs]."),
        click.option("--keep-old", is_flag=True, help="Show a run that other package versions made, as what it is."),
        *([dry_run] if kind.describes else []),
        click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
    ]
