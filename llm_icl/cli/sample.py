"""`llm-icl sample`: problems for use elsewhere."""

from pathlib import Path

import click

from llm_icl.cli import options


@click.command("sample", context_settings={"show_default": True})
@click.option("--task", required=True, help="Task, with options after a colon.")
@click.option("--n", default=options.DEFAULT_N, help="Bits of an input.")
@click.option("--points", default=50, help="Points of a problem.")
@click.option("--problems", default=100, help="Problems.")
@click.option("--seed", default=0, help="Seed of the problems.")
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="FILE.npz, .jsonl, .parquet, or a folder for a Hugging Face dataset.",
)
@options.folders
def command(
    task: str,
    n: int,
    points: int,
    problems: int,
    seed: int,
    target: Path,
    tasks_dir: Path | None,
    prompts_dir: Path | None,
) -> None:
    """Draw problems into a file: inputs, true labels, labels as shown, and the functions' parameters."""
    from llm_icl.config.specs import counted, parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.tasks.cards import load_task
    from llm_icl.tasks.drawing import draw_problems
    from llm_icl.tasks.exporting import export

    specs = parse_specs([task])
    if len(specs) > 1:
        raise RequestError("sample draws from one task at a time")
    if problems < 1:
        raise RequestError(f"--problems {problems} is out of range: at least 1")
    drawn = draw_problems(load_task(specs[0], tasks_dir), n, points, problems, seed)
    export(drawn, target)
    click.echo(f"{counted(problems, 'problem')} of {counted(points, 'point')}: {target}")
