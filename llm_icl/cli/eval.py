"""`llm-icl eval`: learners × tasks → predictions, a table and a report."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from llm_icl.experiments.evaluation.request import Request


@click.command("eval", context_settings={"show_default": True})
@click.option(
    "--model",
    "models",
    multiple=True,
    help="Catalogue name, BACKEND/IDENTIFIER, folder, GGUF file or training run; 'none' for none.",
)
@click.option(
    "--task",
    "tasks",
    multiple=True,
    help="Task, with options after a colon: conjunction:noise=0.1; or 'expr: x1 & ~x3'.",
)
@click.option("--n", "ns", multiple=True, default=[str(options.DEFAULT_N)], help="Bits of an input.")
@click.option("--points", default=50, help="Points of a problem, the last query included.")
@click.option("--problems", default=100, help="Problems of each task.")
@click.option("--positions", default="all", help="Numbers of examples before the query, or 'all'.")
@click.option("--prompt", "prompts", multiple=True, default=["basic"], help="Prompt template, for language models.")
@click.option("--learner", "learners", multiple=True, help="Classical learner [the ones that suit the task].")
@click.option(
    "--mode",
    type=click.Choice(["auto", "curve", "positions", "generate"]),
    default="auto",
    help="How models are asked.",
)
@click.option(
    "--shuffled-labels/--no-shuffled-labels", default=True, help="Also ask models with shuffled labels, as a control."
)
@click.option("--seed", "seeds", multiple=True, default=["0"], help="Seed of the problems.")
@click.option("--repeats", default=1, help="How often each question is asked, of models that write sampled answers.")
@options.calling
@click.option("--dry-run", is_flag=True, help="Say what would be asked and what it would cost, and ask nothing.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs made from the request]."
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    models: tuple[str, ...], tasks: tuple[str, ...], ns: tuple[str, ...], points: int, problems: int, positions: str,
    prompts: tuple[str, ...], learners: tuple[str, ...], mode: str, shuffled_labels: bool, seeds: tuple[str, ...],
    repeats: int, base_url: str, concurrency: str, max_cost: float | None, max_calls: int | None, batch: bool,
    catalogue: Path | None, dry_run: bool, out: Path | None, as_json: bool, tasks_dir: Path | None,
    prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Ask models and learners the same problems.

    Without --model the embedded default is asked, a small real language model that needs no account, no GPU and no
    server. Options repeat or take comma lists. The same command again goes on where it stopped, or shows its results.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.config.specs import parse_specs, whole_numbers
    from llm_icl.experiments.evaluation.request import Request, check, read_positions
    from llm_icl.prompting import load_prompt
    from llm_icl.tasks.cards import load_task, task_names

    speak()
    if not tasks:
        raise click.UsageError(f"--task is missing: known are {', '.join(task_names(tasks_dir))}")
    for option, number in (("--problems", problems), ("--points", points), ("--repeats", repeats)):
        if number < 1:
            raise click.UsageError(f"{option} {number} is out of range: at least 1")
    if out is not None and not out.name:
        raise click.UsageError(f"--out '{out}' names no folder of its own")
    asked, trained = options.models(models, base_url, catalogue)
    request = Request(
        tasks=tuple(load_task(spec, tasks_dir) for spec in parse_specs(tasks)),
        ns=whole_numbers("--n", ns, 1),
        seeds=whole_numbers("--seed", seeds, 0),
        points=points,
        problems=problems,
        positions=read_positions(positions, points),
        models=asked,
        trained=trained,
        prompts=tuple(load_prompt(spec, prompts_dir) for spec in parse_specs(prompts)),
        learners=tuple(parse_specs(learners)) if learners else None,
        mode=mode,
        shuffled_labels=shuffled_labels,
        repeats=repeats,
    )
    limits = options.Limits(options.in_flight(concurrency), max_cost, max_calls, batch)
    check(request, will_ask=not dry_run)
    folder = out or Path("outputs") / request.directory_name()
    if dry_run:
        from llm_icl.experiments.evaluation.dry_run import say_what_would_be_asked

        say_what_would_be_asked([request], folder.parent / "calls.sqlite", batch, click.echo)
        return
    limits.check(request.models)
    _run(request, folder, limits, as_json)


def _run(request: "Request", folder: Path, limits: options.Limits, as_json: bool) -> None:
    from llm_icl.asking.cache import CallCache
    from llm_icl.backends.pool import ModelPool
    from llm_icl.cli.progress import Progress
    from llm_icl.cli.showing import show
    from llm_icl.experiments.evaluation.report import report_of
    from llm_icl.experiments.evaluation.run import Evaluation, check_first_model, is_done
    from llm_icl.runs import RunDirectory

    run, failed = RunDirectory(folder), {}
    with closing(ModelPool(folder)) as pool:
        if not is_done(request, run):
            check_first_model(request, pool)  # a wrong model leaves nothing behind
        with run:
            if not is_done(request, run):
                cache = CallCache(folder.parent / "calls.sqlite") if request.models else None
                calling = limits.calling(cache, folder.name) if cache else None
                with Progress() as progress:
                    failed = Evaluation(request, pool, run, calling, progress).carry_out()
            show(report_of([run]), folder, as_json)
    fail_with(failed)


def fail_with(failed: "dict[str, int]") -> None:
    """Raises WorkError where calls failed, with the most frequent reason."""
    from llm_icl.config.specs import counted
    from llm_icl.errors import WorkError

    errors = sorted(failed.items(), key=lambda entry: -entry[1])
    if errors:
        reason, _ = errors[0]
        raise WorkError(f"{counted(sum(failed.values()), 'call')} failed ({reason}): the same command asks them again")
