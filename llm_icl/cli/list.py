"""`llm-icl list`: the names that the other verbs take."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options
from llm_icl.experiments.options import FolderOptions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_icl.runs.listing import ListedRun

KINDS = ("models", "tasks", "prompts", "learners", "suites", "architectures", "datasets", "runs")
# Of more names than this in a cell of the table of runs, the number of the others is given.
_NAMED = 3


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Your own models.")
@options.declared_options(FolderOptions)
def command(
    kind: str, folder: Path | None, as_json: bool, catalogue: Path | None, tasks_dir: Path | None,
    prompts_dir: Path | None,
) -> None:  # fmt: skip
    """List available models, tasks, prompts, learners, suites, architectures or datasets; or the runs in FOLDER.

    Runs are listed newest first, those of suites too, and those that cannot be read with the reason. Without FOLDER it
    is ./outputs.
    """
    from llm_icl.errors import RequestError

    if kind == "runs":
        _list_runs(folder, as_json)
        return
    if folder:
        raise RequestError(f"list {kind} takes no folder: only list runs does")
    lines = _lines(kind, catalogue, tasks_dir, prompts_dir)
    if as_json:
        click.echo(json.dumps(lines, indent=2))
        return
    width = max(map(len, lines), default=0)
    for name, description in lines.items():
        click.echo(f"{name:{width}}  {description}")


def _list_runs(folder: Path | None, as_json: bool) -> None:
    from llm_icl.runs.listing import listed_runs

    place = folder or Path("outputs")
    runs = listed_runs(place) if folder or place.exists() else []
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(run) for run in runs], indent=2))
    elif runs:
        click.echo(_table(runs))
    else:
        click.echo(f"no runs in {place}")


def _table(runs: "Sequence[ListedRun]") -> str:
    from tabulate import tabulate

    rows = [
        {
            "folder": _shown(run.folder),
            "kind": _shown(run.kind),
            "task": _some(run.tasks),
            "n": _some(run.n),
            "models": _some(run.models),
            "state": f"{run.state}, {run.failed_calls} calls failed" if run.failed_calls else run.state,
            "started (UTC)": run.started[:16].replace("T", " "),
            "USD": "" if run.cost is None else f"{run.cost:.2f}",
        }
        for run in runs
    ]
    reasons = [_shown(run.reason) for run in runs if run.reason]
    return "\n".join([tabulate(rows, headers="keys", tablefmt="plain", disable_numparse=True), *reasons])


def _some(names: "Sequence[str | int]") -> str:
    more = len(names) - _NAMED
    return _shown(", ".join(map(str, names[:_NAMED]))) + (f" and {more} more" if more > 0 else "")


def _shown(text: str) -> str:
    """Text from files, which may hold anything, on one line."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


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
        from llm_icl.networks.architectures import architectures

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
