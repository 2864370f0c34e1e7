"""`llm-icl report`: finished runs, side by side."""

from pathlib import Path

import click


@click.command("report", context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html and report.md [the first run].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Compare finished RUNs in one report."""
    from llm_icl.cli.eval import print_results
    from llm_icl.errors import RequestError
    from llm_icl.files import write_text
    from llm_icl.reports import gather, render_html, render_markdown
    from llm_icl.runs import RunDirectory

    for run in runs:
        if not (run / "run.json").is_file():
            raise RequestError(f"{run} is not a run: it has no run.json")
    content = gather([RunDirectory(run) for run in runs])
    folder = out or runs[0]
    try:
        write_text(folder / "report.html", render_html(content))
        write_text(folder / "report.md", render_markdown(content))
    except OSError as problem:
        raise RequestError(f"the output folder {folder} cannot be written: {problem.strerror}") from None
    print_results(content, folder / "report.html", as_json)
