"""`llm-icl train`: a small network, from scratch, on problems without end."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from llm_icl.training import TrainingRequest


@click.command("train", context_settings={"show_default": True})
@click.option("--architecture", default="transformer", help="Architecture (llm-icl list architectures).")
@click.option("--task", "tasks", multiple=True, help="Task; several are mixed, problem by problem.")
@click.option("--n", default=options.DEFAULT_N, type=click.IntRange(min=1), help="Bits of an input.")
@click.option("--points", default=40, type=click.IntRange(min=2), help="Points of a problem.")
@click.option("--layers", default=3, type=click.IntRange(min=1), help="Blocks.")
@click.option("--width", default=64, type=click.IntRange(min=1), help="Width of the stream.")
@click.option("--parameters", help="Choose the width by the number of parameters: 200k, 1.5M.")
@click.option("--steps", default=2000, type=click.IntRange(min=1), help="Training steps.")
@click.option("--batch-size", default=64, type=click.IntRange(min=1), help="Problems of a step.")
@click.option("--optimiser", type=click.Choice(["muon", "adamw", "adam"]), default="muon", help="adam: the paper's.")
@click.option("--rate", default=8e-3, type=click.FloatRange(min=0, min_open=True), help="Greatest learning rate.")
@click.option("--stop-at", default=1.0, type=click.FloatRange(0, 1), help="End at this accuracy on the last half.")
@click.option("--evaluate-every", default=100, type=click.IntRange(min=1), help="Steps between evaluations.")
@click.option("--seed", default=0, type=click.IntRange(0, 2**30 - 1), help="Seed of weights and problems.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    architecture: str, tasks: tuple[str, ...], n: int, points: int, layers: int, width: int, parameters: str | None,
    steps: int, batch_size: int, optimiser: str, rate: float, stop_at: float, evaluate_every: int, seed: int,
    out: Path | None, as_json: bool, tasks_dir: Path | None, prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Train a network to learn in context; `llm-icl eval --model RUN` then asks it like any other model.

    The same command again goes on where it stopped, to the same weights.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.naming import parse_specs
    from llm_icl.task_cards import load_task, task_names
    from llm_icl.training import TrainingRequest, shape_for
    from local_models.trainer import Plan

    speak()
    if not tasks:
        raise click.UsageError(f"--task is missing: known are {', '.join(task_names(tasks_dir))}")
    wanted = None if parameters is None else _count(parameters)
    request = TrainingRequest(
        tasks=tuple(load_task(spec, tasks_dir) for spec in parse_specs(tasks)),
        n=n,
        points=points,
        batch=batch_size,
        shape=shape_for(architecture, n, points, layers, width, wanted),
        plan=Plan(steps, optimiser, rate, seed=seed, evaluate_every=evaluate_every, stop_at=stop_at),
    )
    request.batches(0)  # a task that cannot be drawn so is told before anything is written
    _run(request, out or Path("outputs") / request.directory_name(), as_json)


def _run(request: "TrainingRequest", folder: Path, as_json: bool) -> None:
    from llm_icl.runs import RunDirectory
    from llm_icl.training_run import carry_out

    run = RunDirectory(folder)
    run.open()
    try:
        record = carry_out(request, run, _Bar())
    finally:
        run.close()
    if as_json:
        click.echo(json.dumps(record | {"run": str(folder)}, indent=2))
        return
    result = record["evaluation"]
    click.echo(f"{request.shape.architecture}, {record['parameters']:,} parameters, {record['steps']} steps, "
               f"{record['wall_seconds']:.0f} s")  # fmt: skip
    rows = {"the network": result} | record["ceilings"]
    for name, entry in rows.items():
        click.echo(f"{name:18} {100 * entry['accuracy']:5.1f} % of all, {100 * entry['last_half']:5.1f} % of the last "
                   f"{request.points - request.points // 2} points")  # fmt: skip
    click.echo(f"run: {folder} (llm-icl eval --model {folder} --task {request.tasks[0].name} --n {request.n})")


class _Bar:
    """One bar on a terminal, a line now and then elsewhere."""

    def __init__(self) -> None:
        from llm_icl.cli.progress import Progress

        self._progress = Progress()

    def __call__(self, progress: Any, steps: int) -> None:
        found = progress.evaluation
        tried = f", accuracy {found['accuracy']:.3f}, last half {found['last_half']:.3f}" if found else ""
        left = (steps - progress.step) / progress.speed
        what = f"loss {progress.loss:.3f}{tried}, {progress.speed:.1f} steps/s, {left:.0f} s left"
        self._progress(what, progress.step, steps)


def _count(text: str) -> int:
    """200k, 1.5M or a plain number."""
    from llm_icl.errors import RequestError

    factor = {"k": 1e3, "m": 1e6}.get(text[-1:].lower(), 1.0)
    try:
        number = float(text if factor == 1.0 else text[:-1]) * factor
    except ValueError:
        number = 0.0
    if not 1 <= number < 1e12:
        raise RequestError(f"--parameters '{text}' is no number of parameters: write 200k or 1.5M")
    return int(number)
