"""`llm-icl report`: compares finished runs."""

from pathlib import Path

import click

from llm_icl.cli.completing import completing


@click.command("report", context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=completing("runs"))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for report.html and report.md [the run's; for several, or a suite, a name under ./outputs].",
)
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help="Folder for a paper's files: figures as SVG, PNG and PDF, tables as CSV and LaTeX, numbers as macros.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(runs: tuple[Path, ...], out: Path | None, export: Path | None, as_json: bool) -> None:
    """Compare finished RUNs, possibly of different kinds, in one report; the folder of a suite stands for its runs."""
    from llm_icl.cli.progress import Progress
    from llm_icl.cli.showing import show
    from llm_icl.experiments.reporting import report_of
    from llm_icl.reports.export import write_export
    from llm_icl.runs.listing import finished_runs
    from llm_icl.runs.opening import digest

    paths = {run.resolve(): run for run in runs}
    several = Path("outputs") / f"report-{digest(sorted(map(str, paths)))}"
    found = [run for path in paths.values() for run in finished_runs(path)]
    # A suite has a report of its own, with what was published, which is not in its runs.
    folder = out or (runs[0] if [run.path for run in found] == [runs[0]] else several)
    report = report_of(found)
    if export:
        with Progress() as progress:
            write_export(report, export, progress)
    show(report, folder, as_json, **{"export": str(export)} if export else {})
    if export and not as_json:
        click.echo(f"export: {export}")
