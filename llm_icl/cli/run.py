"""`llm-icl run`: a suite, cell by cell."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_icl.config.cards import Card
    from llm_icl.runs import RunDirectory
    from llm_icl.suites.crew import Crew
    from llm_icl.suites.evaluations import Suite, SuiteCell


@click.command("run", context_settings={"show_default": True})
@click.argument("suite_name", metavar="SUITE")
@click.option("--model", "models", multiple=True, help="Models instead of those that the suite names.")
@options.calling
@click.option("--at-once", type=click.IntRange(min=1), help="Networks trained at a time [one a GPU, or one a core].")
@click.option("--on", type=click.Choice(["here", "ray"]), default="here", help="Train here, or on a Ray cluster.")
@click.option("--cpus-per-run", default=1.0, type=click.FloatRange(min=0), help="Cores for each network, on Ray.")
@click.option("--gpus-per-run", default=0.0, type=click.FloatRange(min=0), help="GPUs for each network, on Ray.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and what it would cost, and do nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the suite's runs [a name under ./outputs made from the suite].",
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    suite_name: str, models: tuple[str, ...], base_url: str, concurrency: str, max_cost: float | None,
    max_calls: int | None, batch: bool, catalogue: Path | None, at_once: int | None, on: str, cpus_per_run: float,
    gpus_per_run: float, dry_run: bool, out: Path | None, as_json: bool, tasks_dir: Path | None,
    prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Carry out SUITE: the name of one (llm-icl list suites) or a YAML file.

    The same command again goes on where it stopped. A cell that fails does not stop the others.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.suites.cards import find_suite, folder_name
    from llm_icl.suites.evaluations import Places, cells_of, check_cells, load_suite

    speak()
    name, card = find_suite(suite_name, tasks_dir)
    if card.fields.get("kind") == "train":
        if models or batch or base_url or catalogue or concurrency != "auto" or (max_cost, max_calls) != (None, None):
            raise click.UsageError(f"suite '{name}' trains networks: it asks no models, and costs nothing")
        cluster = (cpus_per_run, gpus_per_run) if on == "ray" else None
        _train(name, card, tasks_dir, out, at_once, cluster, dry_run, as_json)
        return
    if on == "ray" or at_once:
        raise click.UsageError(f"suite '{name}' trains no networks: --on and --at-once are for those that do")
    suite = load_suite(name, card, [name for text in models for name in options.split_models(text)])
    cells = cells_of(suite, Places(tasks_dir, prompts_dir, catalogue, base_url))
    limits = options.Limits(options.in_flight(concurrency), max_cost, max_calls, batch)
    folder = out or Path("outputs") / folder_name(name, [cell.request.record() for cell in cells])
    check_cells(cells, will_ask=not dry_run)
    if dry_run:
        from llm_icl.experiments.evaluation.dry_run import say_what_would_be_asked

        requests = [cell.request for cell in cells if cell.request.models]
        say_what_would_be_asked(requests, folder.parent / "calls.sqlite", batch, click.echo)
        return
    limits.check([model for cell in cells for model in cell.request.models])
    _run(suite, cells, folder, limits, as_json)


def _train(
    name: str, card: "Card", tasks_dir: Path | None, out: Path | None, at_once: int | None,
    cluster: tuple[float, float] | None, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    from llm_icl.cli.progress import Progress
    from llm_icl.config.specs import counted
    from llm_icl.runs import RunDirectory
    from llm_icl.suites.cards import folder_name
    from llm_icl.suites.crew import LocalCrew
    from llm_icl.suites.ray import RayCluster
    from llm_icl.suites.run_trainings import carry_out
    from llm_icl.suites.trainings import load_training_suite

    suite = load_training_suite(name, card, tasks_dir)
    folder = out or Path("outputs") / folder_name(name, suite.records())
    if dry_run:
        for cell in suite.cells:
            click.echo(
                f"{cell.name}: {counted(cell.request.plan.steps, 'step')} of {counted(cell.request.batch, 'problem')}"
            )
        click.echo(f"{counted(len(suite.cells), 'network')} into {folder}")
        return
    with RunDirectory(folder):
        crew: Crew = RayCluster(folder, *cluster) if cluster else LocalCrew(at_once)
        with Progress() as progress:
            finished, failed = carry_out(suite, folder, crew, progress)
        _finish(finished, folder, failed, len(suite.cells), as_json)


def _run(suite: "Suite", cells: "Sequence[SuiteCell]", folder: Path, limits: options.Limits, as_json: bool) -> None:
    from llm_icl.asking.cache import CallCache
    from llm_icl.backends.pool import ModelPool
    from llm_icl.cli.progress import Progress
    from llm_icl.runs import RunDirectory
    from llm_icl.suites.run_evaluations import carry_out

    with RunDirectory(folder), closing(ModelPool(folder)) as pool:
        calling = limits.calling(CallCache(folder.parent / "calls.sqlite"), folder.name)
        with Progress() as progress:
            failed = carry_out(cells, folder, pool, calling, progress)
        finished = [run for cell in cells if (run := RunDirectory(folder / cell.name)).complete]
        _finish(finished, folder, failed, len(cells), as_json)


def _finish(runs: "Sequence[RunDirectory]", folder: Path, failed: "dict[str, str]", cells: int, as_json: bool) -> None:
    """Report what was done, and say what was not. Raises WorkError where something failed."""
    from llm_icl.cli.showing import show
    from llm_icl.errors import WorkError
    from llm_icl.experiments.evaluation.report import report_of

    if runs:
        show(report_of(runs), folder, as_json)
    if failed:
        for name, reason in failed.items():
            click.echo(f"failed: {name}: {reason}", err=True)
        raise WorkError(f"{len(failed)} of {cells} cells failed: the same command tries them again")
