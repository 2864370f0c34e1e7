"""`llm-icl report`: finished runs, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llm_icl.runs import RunDirectory


@click.command("report", context_settings={"show_default": True})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="Folder for report.html and report.md [the first run].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(runs: tuple[Path, ...], out: Path | None, as_json: bool) -> None:
    """Compare finished RUNs in one report."""
    from llm_icl.cli.eval import print_results, write_report
    from llm_icl.cli.finetune_vs_icl import write_comparison
    from llm_icl.errors import RequestError
    from llm_icl.runs import RunDirectory

    for run in runs:
        if not (run / "run.json").is_file():
            raise RequestError(f"{run} is not a run: it has no run.json")
    directories = [RunDirectory(run) for run in runs]
    kinds = {directory.record.get("kind", "eval") for directory in directories}
    if len(kinds) > 1:
        raise RequestError(f"these runs are of different kinds: {', '.join(sorted(kinds))}")
    if not kinds <= {"eval", "finetune-vs-icl"}:
        raise RequestError(f"runs of the kind {', '.join(kinds)} are not compared here: each has its own report")
    folder = out or runs[0]
    try:
        if kinds == {"finetune-vs-icl"}:
            if len(runs) == 1:
                write_comparison(directories[0], folder, as_json)
            else:
                _joint(directories, folder, as_json)
            return
        content = write_report(directories, folder)
    except OSError as problem:
        raise RequestError(f"the output folder {folder} cannot be written: {problem.strerror}") from None
    print_results(content, folder / "report.html", as_json)


def _joint(runs: "list[RunDirectory]", folder: Path, as_json: bool) -> None:
    """Comparisons of in-context learning with finetuning, in joint tables."""
    from llm_icl.cli.tables import print_json
    from llm_icl.config.files import write_text
    from llm_icl.experiments.finetuning.joint_report import JointReport
    from llm_icl.experiments.finetuning.run import read
    from llm_icl.runs import command_line

    report = JointReport([(read(run), run.record) for run in runs])
    command = command_line()
    write_text(folder / "report.html", report.html(command))
    write_text(folder / "report.md", report.markdown(command))
    if as_json:
        print_json(report.tables(), folder / "report.html")
        return
    for sentence in report.sentences():
        click.echo(sentence)
    click.echo(f"\nreport: {folder / 'report.html'}")
