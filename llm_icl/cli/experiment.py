"""A kind of experiment as a command."""

from pathlib import Path
from typing import Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.experiments.base import Experiment


def command_of(kind: type[Experiment]) -> click.Command:
    """The command of a kind, built from the class's docstring and declared options."""

    def run(out: Path | None, as_json: bool, keep_old: bool, dry_run: bool = False, **chosen: Any) -> None:
        from llm_icl.cli.progress import Progress, speak
        from llm_icl.cli.showing import show
        from llm_icl.errors import RequestError
        from llm_icl.experiments.reporting import report_of
        from llm_icl.reports import vega
        from llm_icl.runs import readable

        speak()
        if out is not None and not out.name:
            raise RequestError(f"--out '{out}' is not the name of a folder")
        experiment = kind.of(kind.options.of(chosen))
        folder = out or Path("outputs") / experiment.directory_name()
        if dry_run:
            experiment.describe(folder, click.echo)
            return
        vega.start()
        with Progress() as progress:
            finished = experiment.run(folder, progress, keep_old)
        show(report_of([finished]), folder, as_json, run=str(folder))
        with readable(folder):
            failure = experiment.failure(finished)
        if failure:
            raise failure

    for option in reversed(_own(kind)):
        run = option(run)
    with_options = declared_options(kind.options)(run)
    return click.command(kind.kind, help=kind.__doc__, context_settings={"show_default": True})(with_options)


def _own(kind: type[Experiment]) -> list[Any]:
    dry_run = click.option("--dry-run", is_flag=True, help="Print the planned calls and their cost, and exit.")
    return [
        click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs]."),
        click.option("--keep-old", is_flag=True, help="Show results of a run made with other package versions."),
        *([dry_run] if kind.describes else []),
        click.option("--json", "as_json", is_flag=True, help="Print the results as JSON."),
    ]
