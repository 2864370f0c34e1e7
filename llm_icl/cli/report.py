"""`llm-icl report`: finished runs, side by side."""

from pathlib import Path

import click


@click.command("report", context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html and report.md [the first run].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Compare finished RUNs in one report."""
    from llm_icl.cli.eval import print_results, write_report
    from llm_icl.errors import RequestError
    from llm_icl.runs import RunDirectory

    for run in runs:
        if not (run / "run.json").is_file():
            raise RequestError(f"{run} is not a run: it has no run.json")
    folder = out or runs[0]
    try:
        content = write_report([RunDirectory(run) for run in runs], folder)
    except OSError as problem:
        raise RequestError(f"the output folder {folder} cannot be written: {problem.strerror}") from None
    print_results(content, folder / "report.html", as_json)
