"""`llm-icl eval`: learners × tasks → predictions, a table and a report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from llm_icl.backends import ModelEntry
    from llm_icl.reports import Content
    from llm_icl.request import Request


@click.command("eval", context_settings={"show_default": True})
@click.option(
    "--model", "models", multiple=True, help="Catalogue name, hf/IDENTIFIER, folder or GGUF file; 'none' for none."
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
@click.option("--dry-run", is_flag=True, help="Say what would be asked, and ask nothing.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs made from the request]."
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    models: tuple[str, ...], tasks: tuple[str, ...], ns: tuple[str, ...], points: int, problems: int, positions: str,
    prompts: tuple[str, ...], learners: tuple[str, ...], mode: str, shuffled_labels: bool, seeds: tuple[str, ...],
    dry_run: bool, out: Path | None, as_json: bool, tasks_dir: Path | None, prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Ask models and learners the same problems.

    Without --model the embedded default is asked, a small real language model that needs no account, no GPU and no
    server. Options repeat or take comma lists. The same command again goes on where it stopped, or shows its results.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.naming import parse_specs
    from llm_icl.prompting import load_prompt
    from llm_icl.request import Request, cells, check
    from llm_icl.task_cards import load_task, task_names

    speak()
    if not tasks:
        raise click.UsageError(f"--task is missing: known are {', '.join(task_names(tasks_dir))}")
    if problems < 1:
        raise click.UsageError(f"--problems {problems} is out of range: at least 1")
    if points < 1:
        raise click.UsageError(f"--points {points} is out of range: at least 1")
    request = Request(
        tasks=tuple(load_task(spec, tasks_dir) for spec in parse_specs(tasks)),
        ns=options.whole_numbers("--n", ns, 1),
        seeds=options.whole_numbers("--seed", seeds, 0),
        points=points,
        problems=problems,
        positions=options.read_positions(positions, points),
        models=_models(models),
        prompts=tuple(load_prompt(spec, prompts_dir) for spec in parse_specs(prompts)),
        learners=tuple(parse_specs(learners)) if learners else None,
        mode=mode,
        shuffled_labels=shuffled_labels,
    )
    check(request)
    if out is not None and not out.name:
        raise click.UsageError(f"--out '{out}' names no folder of its own")
    if dry_run:
        for cell in cells(request):
            click.echo(f"{cell}: {problems} problems of {points} points")
        asked = len(cells(request)) * problems * len(request.models) * len(request.prompts) * (1 + shuffled_labels)
        click.echo(
            f"{asked} prompts, one for each problem and model where a whole curve can be scored; nothing was sent"
        )
        return
    _run(request, out or Path("outputs") / request.directory_name(), as_json)


def _models(texts: tuple[str, ...]) -> "tuple[ModelEntry, ...]":
    from llm_icl.backends.catalogue import DEFAULT_MODEL, find_model

    names = list(dict.fromkeys(name for text in texts or (DEFAULT_MODEL,) for name in _split(text)))
    if "none" in names:
        if len(names) > 1:
            raise click.UsageError("--model none stands alone")
        return ()
    return tuple(find_model(name) for name in names)


def _split(text: str) -> list[str]:
    """A comma list of models; a comma before an option (`NAME:dtype=float32,chat=true`) does not divide."""
    names: list[str] = []
    for piece in text.split(","):
        if "=" in piece and ":" not in piece and names:
            names[-1] += f",{piece}"
        else:
            names.append(piece.strip())
    return names


def _run(request: "Request", folder: Path, as_json: bool) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.evaluation import evaluate, is_done, load_models
    from llm_icl.files import write_text
    from llm_icl.reports import gather, render_html, render_markdown
    from llm_icl.runs import CallCache, RunDirectory

    run = RunDirectory(folder)
    models = [] if is_done(request, run) else load_models(request)  # a wrong model leaves nothing behind
    run.open()
    try:
        if not is_done(request, run):
            cache = CallCache(folder.parent / "calls.sqlite") if models else None
            with Progress() as progress:
                evaluate(request, models, run, cache, progress)
        content = gather([run])
        write_text(folder / "report.html", render_html(content))
        write_text(folder / "report.md", render_markdown(content))
    finally:
        run.close()
    print_results(content, folder / "report.html", as_json)


def print_results(content: "Content", report: Path, as_json: bool) -> None:
    """The table of every cell, and where the report is."""
    from llm_icl.reports.markdown import SHORT, missing_lines, problems_line, results_data, results_table

    if as_json:
        click.echo(json.dumps(results_data(content) | {"report": str(report)}, indent=2))
        return
    for section in content.sections:
        click.echo(f"{section.cell.title}: {problems_line(section)}\n")
        click.echo(results_table(section, columns=SHORT) + "\n")
        for line in (*missing_lines(section), *section.sentences):
            click.echo(line)
        click.echo()
    click.echo(f"report: {report}")
