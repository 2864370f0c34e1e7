"""`llm-icl run`: a suite, cell by cell."""

import dataclasses
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_icl.cli.completing import completing
from llm_icl.cli.options import declared_options
from llm_icl.suites.options import SuiteOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_icl.config.cards import Card
    from llm_icl.suites.published import Claim
    from llm_icl.suites.run import Outcome


@click.command("run", context_settings={"show_default": True})
@click.argument("suite", shell_complete=completing("suite"))
@declared_options(SuiteOptions)
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the suite's runs [a name under ./outputs].")
@click.option("--keep-old", is_flag=True, help="Show results of runs made with other package versions.")
@click.option("--dry-run", is_flag=True, help="Print the planned calls and their cost, and exit.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(suite: str, out: Path | None, keep_old: bool, dry_run: bool, as_json: bool, **chosen: Any) -> None:
    """Run SUITE, a name (llm-icl list suites) or a YAML file.

    Re-running a command resumes it. A cell that fails does not stop the others.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.errors import RequestError
    from llm_icl.suites.cards import find_suite
    from llm_icl.suites.scales import scaled

    speak()
    if out is not None and not out.name:
        raise RequestError(f"--out '{out}' does not name a folder")
    options = SuiteOptions.of(chosen)
    name, card = find_suite(suite, options.tasks_dir)
    card = scaled(card, options.scale)
    kind = card.fields.get("kind", "eval")
    trains, asks = kind == "train", kind in ("eval", "identify")
    calls = options.model or options.batch or options.base_url or options.catalogue or options.max_calls
    if not asks and (calls or options.concurrency != "auto" or options.max_cost is not None):
        does = "trains networks" if trains else "compares with finetuning"
        raise RequestError(f"suite '{name}' {does}: options for API calls do not apply")
    if options.data_dir and kind != "finetune-vs-icl":
        raise RequestError(f"suite '{name}' takes no texts: --data-dir does not apply")
    if not trains and (options.on == "ray" or options.at_once):
        raise RequestError(f"suite '{name}' trains no networks: --on and --at-once do not apply")
    run = _train if trains else _evaluate if asks else _compare
    run(name, card, options, out, keep_old, dry_run, as_json)


def _train(
    name: str, card: "Card", options: SuiteOptions, out: Path | None, keep_old: bool, dry_run: bool, as_json: bool
) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.config.specs import counted
    from llm_icl.runs import RunDirectory
    from llm_icl.suites.cards import folder_name
    from llm_icl.suites.crew import Crew, LocalCrew
    from llm_icl.suites.published import claims_of
    from llm_icl.suites.ray import RayCluster
    from llm_icl.suites.run import run_trainings
    from llm_icl.suites.trainings import load_training_suite

    suite, claims = load_training_suite(name, card, options.tasks_dir), claims_of(card)
    folder = out or Path("outputs") / folder_name(name, suite.records())
    if dry_run:
        from llm_icl.suites.costs import described

        for line in described(suite.cells):
            click.echo(line)
        click.echo(f"{counted(len(suite.cells), 'network')} into {folder}")
        return
    with RunDirectory(folder):
        on_ray = options.on == "ray"
        crew: Crew = (
            RayCluster(folder, options.cpus_per_run, options.gpus_per_run) if on_ray else LocalCrew(options.at_once)
        )
        with Progress() as progress:
            outcome = run_trainings(suite, folder, crew, progress, keep_old)
        _finish(outcome, folder, len(suite.cells), as_json, "eval", claims)


def _compare(
    name: str, card: "Card", options: SuiteOptions, out: Path | None, keep_old: bool, dry_run: bool, as_json: bool
) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.config.specs import counted
    from llm_icl.runs import RunDirectory
    from llm_icl.suites.cards import folder_name
    from llm_icl.suites.comparisons import load_comparisons
    from llm_icl.suites.run import run_comparisons

    cells = load_comparisons(name, card, options.data_dir, options.tasks_dir)
    folder = out or Path("outputs") / folder_name(name, [cell.experiment.record() for cell in cells])
    if dry_run:
        for cell in cells:
            click.echo(cell.name)
        click.echo(f"{counted(len(cells), 'comparison')} into {folder}")
        return
    with RunDirectory(folder):
        with Progress() as progress:
            outcome = run_comparisons(cells, folder, progress, keep_old)
        _finish(outcome, folder, len(cells), as_json, "finetune-vs-icl", ())


def _evaluate(
    name: str, card: "Card", options: SuiteOptions, out: Path | None, keep_old: bool, dry_run: bool, as_json: bool
) -> None:
    from llm_icl.asking.cache import CallCache
    from llm_icl.backends.pool import ModelPool
    from llm_icl.cli.progress import Progress
    from llm_icl.experiments.limits import CACHE, Limits
    from llm_icl.networks.named import split_models
    from llm_icl.runs import RunDirectory
    from llm_icl.suites.cards import folder_name
    from llm_icl.suites.evaluations import Places, cells_of, check_cells, load_suite
    from llm_icl.suites.published import claims_of
    from llm_icl.suites.run import run_evaluations

    suite = load_suite(name, card, [name for text in options.model for name in split_models(text)])
    claims = claims_of(card)
    places = Places(options.tasks_dir, options.prompts_dir, options.catalogue, options.base_url)
    cells = cells_of(suite, places)
    limits = Limits.of(options)
    folder = out or Path("outputs") / folder_name(name, [cell.experiment.record() for cell in cells])
    check_cells(cells, will_ask=not dry_run)
    if dry_run:
        requests = [cell.experiment.request for cell in cells]
        asking = [request for request in requests if request.models]
        suite.kind.experiment.plan(asking, folder.parent / CACHE, options.batch, click.echo)
        return
    limits.check([model for cell in cells for model in cell.experiment.request.models])
    with RunDirectory(folder), closing(ModelPool(folder)) as pool:
        calling = limits.calling(CallCache(folder.parent / CACHE), folder.name)
        with Progress() as progress:
            outcome = run_evaluations(cells, folder, pool, calling, progress, keep_old)
        _finish(outcome, folder, len(cells), as_json, suite.kind.experiment.kind, claims)


def _finish(outcome: "Outcome", folder: Path, cells: int, as_json: bool, kind: str, claims: "Sequence[Claim]") -> None:
    """Print the report of runs of one kind, and the failed cells. Raises WorkError if a cell failed."""
    from llm_icl.cli.showing import show
    from llm_icl.errors import WorkError
    from llm_icl.experiments.kinds import experiments
    from llm_icl.suites.published import published_section

    if outcome.finished:
        report = experiments.get(kind).report(outcome.finished)
        if published := published_section(claims, outcome.finished):
            report = dataclasses.replace(report, sections=(published, *report.sections))
        show(report, folder, as_json)
    if outcome.failed:
        for name, reason in outcome.failed.items():
            click.echo(f"failed: {name}: {reason}", err=True)
        raise WorkError(f"{len(outcome.failed)} of {cells} cells failed: re-running the command retries them")
