"""`llm-icl list`: the names that the other verbs take."""

import json
from pathlib import Path

import click

from llm_icl.cli import options

KINDS = ("models", "tasks", "prompts", "learners")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@options.folders
def command(kind: str, as_json: bool, tasks_dir: Path | None, prompts_dir: Path | None) -> None:
    """List models, tasks, prompts or learners, with a line on each."""
    lines = _lines(kind, tasks_dir, prompts_dir)
    if as_json:
        click.echo(json.dumps(lines, indent=2))
        return
    width = max(map(len, lines), default=0)
    for name, description in lines.items():
        click.echo(f"{name:{width}}  {description}")


def _lines(kind: str, tasks_dir: Path | None, prompts_dir: Path | None) -> dict[str, str]:
    if kind == "models":
        from llm_icl.backends.catalogue import model_names

        return {name: entry.description for name, entry in model_names().items()}
    if kind == "tasks":
        from llm_icl.task_cards import read_task, task_names

        return {name: read_task(path).description for name, path in task_names(tasks_dir).items()}
    if kind == "prompts":
        from llm_icl.prompting.templates import prompt_names, read_prompt

        return {name: read_prompt(path, name).description for name, path in prompt_names(prompts_dir).items()}
    from llm_icl.learners import learners

    return {
        name: (learner.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
        for name, learner in learners.items()
    }
