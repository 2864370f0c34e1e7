"""`llm-icl run`: a suite, cell by cell."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_icl.suites import Suite, SuiteCell


@click.command("run", context_settings={"show_default": True})
@click.argument("suite_name", metavar="SUITE")
@click.option("--model", "models", multiple=True, help="Models instead of those that the suite names.")
@options.calling
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it would cost, and ask nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the suite's runs [a name under ./outputs made from the suite].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    suite_name: str, models: tuple[str, ...], base_url: str, concurrency: str, max_cost: float | None,
    max_calls: int | None, batch: bool, catalogue: Path | None, dry_run: bool, out: Path | None, as_json: bool,
    tasks_dir: Path | None, prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Carry out SUITE: the name of one (llm-icl list suites) or a YAML file.

    The same command again goes on where it stopped. A cell that fails does not stop the others.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.suites import Places, cells_of, check_cells, folder_name, load_suite

    speak()
    names = [name for text in models for name in options.split_models(text)]
    suite = load_suite(suite_name, names, tasks_dir)
    cells = cells_of(suite, Places(tasks_dir, prompts_dir, catalogue, base_url))
    limits = options.Limits(options.in_flight(concurrency), max_cost, max_calls, batch)
    folder = out or Path("outputs") / folder_name(suite, cells)
    check_cells(cells, will_ask=not dry_run)
    if dry_run:
        from llm_icl.dry_run import say_what_would_be_asked

        requests = [cell.request for cell in cells if cell.request.models]
        say_what_would_be_asked(requests, folder.parent / "calls.sqlite", batch, click.echo)
        return
    limits.check([model for cell in cells for model in cell.request.models])
    _run(suite, cells, folder, limits, as_json)


def _run(suite: "Suite", cells: "Sequence[SuiteCell]", folder: Path, limits: options.Limits, as_json: bool) -> None:
    from llm_icl.backends.pool import ModelPool
    from llm_icl.cli.eval import print_results, write_report
    from llm_icl.cli.progress import Progress
    from llm_icl.errors import WorkError
    from llm_icl.runs import CallCache, RunDirectory
    from llm_icl.suite_run import carry_out

    whole, pool = RunDirectory(folder), ModelPool(folder)
    whole.open()
    try:
        calling = limits.calling(CallCache(folder.parent / "calls.sqlite"), folder.name)
        with Progress() as progress:
            failed = carry_out(cells, folder, pool, calling, progress)
        finished = [run for cell in cells if (run := RunDirectory(folder / cell.name)).complete]
        content = write_report(finished, folder) if finished else None
    finally:
        pool.close()
        whole.close()
    if content:
        print_results(content, folder / "report.html", as_json)
    if failed:
        for name, reason in failed.items():
            click.echo(f"failed: {name}: {reason}", err=True)
        raise WorkError(f"{len(failed)} of {len(cells)} cells failed: the same command tries them again")
