"""`llm-icl train`: a network that learns in context, on problems without end."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_icl.cli import options
from llm_icl.experiments.training.options import OPTIMISERS, TrainingOptions

if TYPE_CHECKING:
    from llm_icl.experiments.training.request import TrainingRequest

_DEFAULT = TrainingOptions(())


@click.command("train", context_settings={"show_default": True})
@click.option(
    "--architecture",
    default=_DEFAULT.architecture,
    help="Architecture (llm-icl list architectures), or a pretrained model that gets new ends.",
)
@click.option("--task", multiple=True, help="Task; several are mixed, problem by problem.")
@click.option("--test", multiple=True, help="Task that it is tried on [the same as --task].")
@click.option("--n", default=_DEFAULT.n, type=click.IntRange(min=1), help="Bits of an input.")
@click.option("--points", default=_DEFAULT.points, type=click.IntRange(min=2), help="Points of a problem.")
@click.option("--layers", default=_DEFAULT.layers, type=click.IntRange(min=1), help="Blocks.")
@click.option("--width", default=_DEFAULT.width, type=click.IntRange(min=1), help="Width of the stream.")
@click.option("--parameters", help="Choose the width by the number of parameters: 200k, 1.5M.")
@click.option("--steps", default=_DEFAULT.steps, type=click.IntRange(min=1), help="Training steps.")
@click.option("--batch-size", default=_DEFAULT.batch_size, type=click.IntRange(min=1), help="Problems of a step.")
@click.option("--optimiser", type=click.Choice(OPTIMISERS), help="adam: the paper's [muon; adamw if pretrained].")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Greatest rate [0.008; 0.001 if pretrained].")
@click.option(
    "--stop-at",
    default=_DEFAULT.stop_at,
    type=click.FloatRange(0, 1, min_open=True),
    help="End at this accuracy on the last half.",
)
@click.option(
    "--evaluate-every", default=_DEFAULT.evaluate_every, type=click.IntRange(min=1), help="Steps between evaluations."
)
@click.option("--start-n", type=click.IntRange(min=1), help="Curriculum: bits at the start [n].")
@click.option("--start-points", type=click.IntRange(min=1), help="Curriculum: points at the start [points].")
@click.option("--seed", default=_DEFAULT.seed, type=click.IntRange(0, 2**30 - 1), help="Seed of weights and problems.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    out: Path | None, as_json: bool, tasks_dir: Path | None, prompts_dir: Path | None, **chosen: Any
) -> None:  # fmt: skip
    """Train a network to learn in context; `llm-icl eval --model RUN` then asks it like any other model.

    The same command again goes on where it stopped, to the same weights.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.tasks.cards import task_names

    speak()
    if not chosen["task"]:
        raise click.UsageError(f"--task is missing: known are {', '.join(task_names(tasks_dir))}")
    request = TrainingOptions(**chosen).request(tasks_dir)
    _run(request, out or Path("outputs") / request.directory_name(), as_json)


def _run(request: "TrainingRequest", folder: Path, as_json: bool) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.cli.showing import show
    from llm_icl.experiments.training.report import report_of
    from llm_icl.experiments.training.run import carry_out
    from llm_icl.runs import RunDirectory

    with RunDirectory(folder) as run:
        with Progress() as progress:
            carry_out(request, run, lambda told, steps: progress(_words(told, steps), told.step, steps))
        show(report_of([run]), folder, as_json, run=str(folder))
    if not as_json:
        click.echo(f"run: {folder} (llm-icl eval --model {folder} --task {request.tests[0].name} --n {request.n} "
                   f"--points {request.points})")  # fmt: skip


def _words(progress: Any, steps: int) -> str:
    found = progress.evaluation
    tried = f", accuracy {found['accuracy']:.3f}, last half {found['last_half']:.3f}" if found else ""
    left = (steps - progress.step) / progress.speed
    return f"loss {progress.loss:.3f}{tried}, {progress.speed:.1f} steps/s, {left:.0f} s left"
