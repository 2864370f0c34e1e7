"""`llm-icl finetune-vs-icl`: the same demonstrations in the context, and in the weights."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from llm_icl.cli import options

if TYPE_CHECKING:
    from llm_icl.experiments.finetuning.comparison import ComparisonRequest

_RATES = "0.0001,0.0003,0.001,0.003,0.01,0.03,0.1"


@click.command("finetune-vs-icl", context_settings={"show_default": True})
@click.option("--model", "model_name", help="Language model that runs in this process [the embedded default].")
@click.option("--dataset", required=True, help="Labelled texts (llm-icl list datasets), or a card's YAML file.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder with NAME/SPLIT.jsonl, instead of the hub.",
)
@click.option("--demonstrations", type=click.IntRange(min=1), help="How many [the card's].")
@click.option("--examples", default=200, type=click.IntRange(min=2), help="Queries.")
@click.option("--seed", "seeds", multiple=True, default=["1,2,3"], help="Seeds that draw demonstrations.")
@click.option("--rates", default=_RATES, help="Rates of gradient descent to choose from; 'paper' for the paper's 36.")
@click.option(
    "--choose-on",
    type=click.Choice(["training", "evaluation"]),
    default="training",
    help="Where rates (and the best seed) are chosen: on other texts, or, as in the paper, on the queries themselves.",
)
@click.option("--best-seed", is_flag=True, help="As in the paper, only the seed that is best in context.")
@click.option(
    "--too-many",
    type=click.Choice(["refuse", "cut"]),
    default="refuse",
    help="Demonstrations that do not fit the context: refuse, or cut for both, context and finetuning.",
)
@click.option(
    "--separator",
    type=click.Choice(["newline", "end"]),
    default="newline",
    help="Between demonstrations: a line break, or as in the paper the token that ends a text.",
)
@click.option(
    "--controls/--no-controls", default=True, help="Also other demonstrations, shuffled labels and an untrained model."
)
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@options.folders
def command(
    model_name: str | None, dataset: str, data_dir: Path | None, demonstrations: int | None, examples: int,
    seeds: tuple[str, ...], rates: str, choose_on: str, best_seed: bool, too_many: str, separator: str, controls: bool,
    out: Path | None, as_json: bool, tasks_dir: Path | None, prompts_dir: Path | None,
) -> None:  # fmt: skip
    """Compare what demonstrations do in a model's context with what finetuning on them does (Dai et al. 2023), with the
    controls that show how much of the likeness is due to learning the same.
    """
    from llm_icl.backends.catalogue import DEFAULT_MODEL, find_model
    from llm_icl.cli.progress import speak
    from llm_icl.config.specs import whole_numbers
    from llm_icl.errors import RequestError
    from llm_icl.experiments.finetuning.comparison import ComparisonRequest, check
    from llm_icl.experiments.finetuning.text_tasks import load_splits, load_text_task
    from llm_icl.runs.opening import digest

    speak()
    model = find_model(model_name or DEFAULT_MODEL)
    if model.backend != "hf":
        raise RequestError(f"'{model.name}' does not run in this process: its weights cannot be finetuned here")
    task = load_text_task(dataset, tasks_dir)
    splits = load_splits(task, data_dir)
    request = ComparisonRequest(
        model, task, splits, whole_numbers("--seed", seeds, 0), demonstrations or task.demonstrations,
        min(examples, len(splits.evaluation)), _rates(rates), choose_on, separator, controls, best_seed,
        cut=too_many == "cut",
    )  # fmt: skip
    check(request)
    folder = out or Path("outputs") / f"finetune-vs-icl-{task.name}-{digest(request.record())}"
    _run(request, folder, as_json)


def _run(request: "ComparisonRequest", folder: Path, as_json: bool) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.cli.showing import show
    from llm_icl.experiments.finetuning.report import report_of
    from llm_icl.experiments.finetuning.run import carry_out
    from llm_icl.runs import RunDirectory

    with RunDirectory(folder) as run:
        with Progress() as progress:
            carry_out(request, run, progress)
        show(report_of([run]), folder, as_json)


def _rates(text: str) -> tuple[float, ...]:
    from llm_icl.errors import RequestError

    if text == "paper":
        return tuple(digit * power for power in (1e-4, 1e-3, 1e-2, 1e-1) for digit in range(1, 10))
    try:
        rates = tuple(dict.fromkeys(float(part) for part in text.split(",")))
    except ValueError:
        rates = ()
    if not rates or not all(0 < rate < 1e6 for rate in rates):
        raise RequestError(f"--rates '{text}' is no list of rates above 0: write 0.001,0.01 or paper")
    return rates
