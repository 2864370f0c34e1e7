"""`llm-icl probe`: what the attention heads of models do."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from llm_icl.experiments.probing.request import ProbeRequest


_POINTS = 40


@click.command("probe", context_settings={"show_default": True})
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="Training run, or a language model that runs in this process.",
)
@click.option("--task", default="nearest-neighbour", help="Task that the labels come from.")
@click.option("--n", type=click.IntRange(min=1), help="Bits of an input [what a network was trained for, else 5].")
@click.option("--points", type=click.IntRange(min=4), help="Points of a problem [40, or what a network holds].")
@click.option("--problems", default=50, type=click.IntRange(min=2), help="Problems.")
@click.option(
    "--copies", default=4, type=click.IntRange(min=2), help="How often the points stand there, for induction."
)
@click.option("--prompt", "prompt_name", default="basic", help="Prompt template, for language models.")
@click.option("--seed", default=0, type=click.IntRange(min=0), help="Seed of the problems.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    models: tuple[str, ...], task: str, n: int | None, points: int | None, problems: int, copies: int,
    prompt_name: str, seed: int, out: Path | None, as_json: bool, tasks_dir: Path | None, prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Score every attention head: how much of its attention goes from a query to the label of the same point seen
    earlier (induction), and to the labels of the nearest earlier points (nearest neighbour).
    """
    from llm_icl.cli.progress import speak
    from llm_icl.config.specs import parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.experiments.probing.request import ProbeRequest, check
    from llm_icl.prompting import load_prompt
    from llm_icl.runs.opening import digest
    from llm_icl.tasks.cards import load_task

    speak()
    asked, trained = options.models(models, "", None)
    names = [network.name for network in trained] + [model.name for model in asked]
    if len(set(names)) < len(names):
        raise RequestError("the same model is named twice")
    n = n or next((network.n for network in trained), options.DEFAULT_N)
    points = points or min((network.points or _POINTS for network in trained), default=_POINTS)
    if points < 2 * copies:
        raise RequestError(f"--copies {copies} of at least two points do not fit into {points} points")
    request = ProbeRequest(
        asked, trained, load_task(parse_specs([task])[0], tasks_dir), n, points, problems, copies, seed,
        load_prompt(parse_specs([prompt_name])[0], prompts_dir),
    )  # fmt: skip
    check(request)
    _run(request, out or Path("outputs") / f"probe-{digest(request.record())}", as_json)


def _run(request: "ProbeRequest", folder: Path, as_json: bool) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.cli.showing import show
    from llm_icl.experiments.probing.report import report_of
    from llm_icl.experiments.probing.run import carry_out
    from llm_icl.runs import RunDirectory

    with RunDirectory(folder) as run:
        with Progress() as progress:
            carry_out(request, run, progress)
        show(report_of([run]), folder, as_json)
