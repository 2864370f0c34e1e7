"""`llm-icl show`: one thing in full."""

import dataclasses
import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_icl.cli import options
from llm_icl.cli.completing import completing
from llm_icl.experiments.options import FolderOptions, TaskOptions
from llm_icl.tasks.options import DEFAULT_N

if TYPE_CHECKING:
    from llm_icl.problems import Task


@click.group("show")
def command() -> None:
    """Show one thing in full."""


@command.command("task")
@click.argument("name", shell_complete=completing("task"))
@options.declared_options(TaskOptions)
def task(name: str, tasks_dir: Path | None) -> None:
    """Show a task card with its options applied."""
    loaded = _task(name, tasks_dir)
    for key, value in dataclasses.asdict(loaded).items():
        click.echo(f"{key.replace('_', '-')}: {value}")


@command.command("model")
@click.argument("name", shell_complete=completing("model"))
@click.option("--catalogue", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="Your own models.")
def model(name: str, catalogue: Path | None) -> None:
    """Show a model's catalogue entry and options."""
    from llm_icl.backends.base import backends
    from llm_icl.backends.catalogue import find_model

    entry = find_model(name, own=catalogue)
    for key, value in dataclasses.asdict(entry).items():
        if value:
            click.echo(f"{key}: {value}")
    click.echo(f"\n{inspect.getdoc(backends.get(entry.backend))}")


@command.command("learner")
@click.argument("name", shell_complete=completing("learner"))
def learner(name: str) -> None:
    """Show a classical learner's description and options."""
    from llm_icl.config.specs import canonical_name
    from llm_icl.learners import learners

    found = learners.get(canonical_name(name))
    _explain(inspect.getdoc(found), {field.name: field.default for field in dataclasses.fields(found)})


@command.command("architecture")
@click.argument("name", shell_complete=completing("architecture"))
def architecture(name: str) -> None:
    """Show an architecture's description and options."""
    from llm_icl.config.specs import canonical_name
    from llm_icl.networks.architectures import architectures
    from llm_icl.networks.shapes import PRETRAINED_OPTIONS, pretrained_entry
    from local_models.pretrained import Pretrained

    name = canonical_name(name)
    if found := architectures().get(name):
        _explain("\n\n".join(str(inspect.getdoc(mixer)) for mixer in found.mixers), found.options)
        return
    pretrained_entry(name)
    _explain(inspect.getdoc(Pretrained), PRETRAINED_OPTIONS)


@command.command("prompt", context_settings={"show_default": True})
@click.argument("name", shell_complete=completing("prompt"))
@click.option(
    "--task", "task_name", default="majority", help="Task of the examples.", shell_complete=completing("task")
)
@click.option("--n", default=DEFAULT_N, help="Bits of an input.")
@click.option("--position", default=5, help="Examples before the query.")
@click.option("--problem", default=0, help="Number of the problem.")
@click.option("--seed", default=0, help="Seed of the problems.")
@click.option(
    "--model", "model_name", help="Show the text as sent to this model (loads a local model) [both general forms]."
)
@options.declared_options(FolderOptions)
def prompt(
    name: str, task_name: str, n: int, position: int, problem: int, seed: int, model_name: str | None,
    tasks_dir: Path | None, prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Show the exact prompt that a model gets."""
    from llm_icl.backends.base import backends
    from llm_icl.backends.catalogue import find_model
    from llm_icl.cli.progress import speak
    from llm_icl.config.specs import parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.prompting import load_prompt, render
    from llm_icl.prompting.rendering import check_task
    from llm_icl.tasks.drawing import draw_problems

    speak()
    if position < 0 or problem < 0:
        raise RequestError("--position and --problem count from 0")
    specs = parse_specs([name])
    if len(specs) > 1:
        raise RequestError("show takes one prompt at a time")
    loaded = load_prompt(specs[0], prompts_dir)
    # More points than shown: a teaching sequence must fit.
    drawn = draw_problems(_task(task_name, tasks_dir), n, max(position + 1, 50), [problem], seed)
    check_task(loaded, drawn.task)
    rendered = render(loaded, drawn, 0, position)
    if model_name:
        entry = find_model(model_name)
        wire = backends.get(entry.backend)(entry).wire(rendered)
        click.echo(wire if isinstance(wire, str) else json.dumps(wire, indent=2, ensure_ascii=False))
        return
    if not rendered.has_turns:
        comes = "; the label comes next" if loaded.label_comes_next else ""
        click.echo(f"# as text, for a completion model (between the lines{comes})")
        click.echo(f"{'-' * 20}\n{rendered.completion()}\n{'-' * 20}\n")
    click.echo("# as messages, for a chat model")
    click.echo(
        json.dumps([dataclasses.asdict(message) for message in rendered.messages()], indent=2, ensure_ascii=False)
    )


@command.command("dataset")
@click.argument("name", shell_complete=completing("dataset"))
@options.declared_options(TaskOptions)
def dataset(name: str, tasks_dir: Path | None) -> None:
    """Show a data set's card, the files that --data-dir takes in its place, and the fields of a card."""
    from llm_icl.experiments.finetuning.examples import TextTemplate
    from llm_icl.experiments.finetuning.rows import FORMATS
    from llm_icl.experiments.finetuning.text_tasks import FIELDS, load_text_task

    loaded = load_text_task(name, tasks_dir)
    values = {word: ", ".join(value for value, i in loaded.values.items() if loaded.labels[i] == word)
              for word in loaded.labels}  # fmt: skip
    shown = dataclasses.asdict(loaded) | {"labels": "; ".join(f"{word} ({those})" for word, those in values.items())}
    for key in FIELDS:
        if shown[key]:
            click.echo(f"{key}: {shown[key]}")
    columns = ", ".join([*TextTemplate(loaded.template).columns, loaded.label])
    click.echo(
        f"\nYour own files: --data-dir DIR, with DIR/{loaded.name}/{loaded.training} and "
        f"DIR/{loaded.name}/{loaded.evaluation}, each as one file ending in "
        f"{', '.join(FORMATS)}, with the columns {columns}."
    )
    width = max(map(len, FIELDS))
    click.echo("\nFields of a card:\n" + "\n".join(f"  {key:{width}}  {text}" for key, text in FIELDS.items()))


@command.command("problem", context_settings={"show_default": True})
@click.argument("task_name", metavar="TASK", shell_complete=completing("task"))
@click.option("--n", default=DEFAULT_N, help="Bits of an input.")
@click.option("--points", default=20, help="Points of the problem.")
@click.option("--problem", "number", default=0, help="Number of the problem.")
@click.option("--seed", default=0, help="Seed of the problems.")
@options.declared_options(TaskOptions)
def problem(task_name: str, n: int, points: int, number: int, seed: int, tasks_dir: Path | None) -> None:
    """Show one problem: its function and points."""
    from llm_icl.errors import RequestError
    from llm_icl.tasks.drawing import draw_problems

    if number < 0:
        raise RequestError("--problem counts from 0")
    drawn = draw_problems(_task(task_name, tasks_dir), n, points, [number], seed)
    for key, value in drawn.parameters.items():
        click.echo(f"{key}: {value[0].tolist()}")
    click.echo("position  input  label  shown  seen")
    for k in range(points):
        bits = "".join(map(str, drawn.xs[0, k].tolist()))
        seen = "seen" if drawn.seen[0, k] else ""
        click.echo(f"{k:8d}  {bits}  {drawn.ys[0, k]}  {drawn.shown[0, k]}  {seen}".rstrip())


def _explain(text: str | None, given: Mapping[str, Any]) -> None:
    from llm_icl.config.specs import written

    names = ",".join(f"{key.replace('_', '-')}={written(value)}" for key, value in given.items())
    click.echo(f"{text}\n\n{f'Options and defaults: {names}' if names else 'No options.'}")


def _task(name: str, tasks_dir: Path | None) -> "Task":
    from llm_icl.config.specs import parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.tasks.cards import load_task

    specs = parse_specs([name])
    if len(specs) > 1:
        raise RequestError("show takes one task at a time")
    return load_task(specs[0], tasks_dir)
