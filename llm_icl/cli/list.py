"""`llm-icl list`: the names that the other verbs take."""

import json
from pathlib import Path

import click

from llm_icl.cli import options
from llm_icl.experiments.options import FolderOptions

KINDS = ("models", "tasks", "prompts", "learners", "suites", "architectures", "datasets")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Your own models.")
@options.declared_options(FolderOptions)
def command(kind: str, as_json: bool, catalogue: Path | None, tasks_dir: Path | None, prompts_dir: Path | None) -> None:
    """List available models, tasks, prompts, learners, suites, architectures or datasets."""
    lines = _lines(kind, catalogue, tasks_dir, prompts_dir)
    if as_json:
        click.echo(json.dumps(lines, indent=2))
        return
    width = max(map(len, lines), default=0)
    for name, description in lines.items():
        click.echo(f"{name:{width}}  {description}")


def _lines(kind: str, catalogue: Path | None, tasks_dir: Path | None, prompts_dir: Path | None) -> dict[str, str]:
    if kind == "models":
        from llm_icl.backends.catalogue import model_names

        return {name: entry.description for name, entry in model_names(catalogue).items()}
    if kind == "tasks":
        from llm_icl.config.cards import read_card
        from llm_icl.config.files import data_files

        # Only the cards are read: importing NumPy would slow down the command.
        paths = data_files("tasks", ".yaml", tasks_dir)
        own = {
            "expr: FORMULA": "your own function, such as 'expr: (x1 & ~x3) | x7'",
            "table: BITS": "your own function as 2^n labels, x1 being the most significant bit of an input",
        }
        return {name: read_card(path).text("description") for name, path in paths.items()} | own
    if kind == "architectures":
        from local_models.architectures import architectures

        return {name: architecture.description for name, architecture in architectures().items()}
    if kind == "suites":
        from llm_icl.config.cards import read_card
        from llm_icl.config.files import data_files

        paths = data_files("tasks/suites", ".yaml", tasks_dir / "suites" if tasks_dir else None)
        return {name: read_card(path).text("description") for name, path in paths.items()}
    if kind == "datasets":
        from llm_icl.config.cards import read_card
        from llm_icl.config.files import data_files

        paths = data_files("tasks/text", ".yaml", tasks_dir / "text" if tasks_dir else None)
        return {name: read_card(path).text("description") for name, path in paths.items()}
    if kind == "prompts":
        from llm_icl.config.cards import read_document
        from llm_icl.config.files import data_files

        paths = data_files("prompts", ".jinja", prompts_dir)
        return {name: read_document(path).card.text("description") for name, path in paths.items()}
    from llm_icl.learners import learners

    return {
        name: (learner.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
        for name, learner in learners.items()
    }
