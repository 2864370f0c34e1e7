"""`llm-icl train-lm`: small language models whose attention has momentum, or has not."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from llm_icl.experiments.language_modelling.request import LanguageRequest


@click.command("train-lm", context_settings={"show_default": True})
@click.option(
    "--attention",
    multiple=True,
    default=["softmax,momentum,momentum-learned"],
    help="What is compared with the first: softmax, momentum:eta=0.5, momentum-learned.",
)
@click.option(
    "--text",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="File to train on, or a folder of .txt files.",
)
@click.option("--held-out", required=True, help="File to try it on; or the part of a text from LINE..LINE.")
@click.option("--vocabulary", default=1024, help="Tokens, learned from the text.")
@click.option("--layers", default=4, type=click.IntRange(min=1), help="Blocks.")
@click.option("--width", default=128, type=click.IntRange(min=1), help="Width of the stream.")
@click.option("--heads", default=4, type=click.IntRange(min=1), help="Heads of a layer.")
@click.option("--context", default=256, type=click.IntRange(min=1), help="Tokens of a training sequence.")
@click.option("--lengths", multiple=True, help="Contexts to try it with [a quarter, a half and all of --context].")
@click.option("--steps", default=2000, type=click.IntRange(min=1), help="Training steps.")
@click.option("--batch-size", default=4, type=click.IntRange(min=1), help="Sequences of a step.")
@click.option("--rate", default=2e-3, type=click.FloatRange(min=0, min_open=True), help="Greatest rate of Adam.")
@click.option("--evaluate-every", default=100, type=click.IntRange(min=1), help="Steps between evaluations.")
@click.option("--seed", "seeds", multiple=True, default=["1,2,3"], help="Seeds of weights and batches.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def command(
    attention: tuple[str, ...], text: tuple[Path, ...], held_out: str, vocabulary: int, layers: int, width: int,
    heads: int, context: int, lengths: tuple[str, ...], steps: int, batch_size: int, rate: float, evaluate_every: int,
    seeds: tuple[str, ...], out: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Train language models from scratch that differ in their attention only, and compare their perplexity on held-out
    text (Dai et al. 2023, section 5).

    The same command again goes on where it stopped, to the same weights. Each model's folder can be used as --model.
    """
    from llm_icl.cli.progress import speak
    from llm_icl.config.specs import parse_specs, whole_numbers
    from llm_icl.experiments.language_modelling.request import LanguageRequest
    from llm_icl.experiments.language_modelling.texts import read_texts
    from llm_icl.runs.opening import digest
    from local_models.language_trainer import LanguagePlan

    speak()
    training, held = read_texts(text, held_out)
    tried = (
        whole_numbers("--lengths", lengths, 1)
        if lengths
        else [context // part for part in (4, 2, 1) if context % part == 0]
    )
    plan = LanguagePlan(steps, batch_size, context, rate, min(100, steps // 10), 0, evaluate_every)
    request = LanguageRequest(
        tuple(parse_specs(attention)), tuple(training), held, vocabulary, layers, width, heads, tuple(sorted(tried)),
        plan, whole_numbers("--seed", seeds, 0),
    )  # fmt: skip
    request.check()
    _run(request, out or Path("outputs") / f"train-lm-{digest(request.record())}", as_json)


def _run(request: "LanguageRequest", folder: Path, as_json: bool) -> None:
    from llm_icl.cli.progress import Progress
    from llm_icl.cli.showing import show
    from llm_icl.experiments.language_modelling.report import report_of
    from llm_icl.experiments.language_modelling.run import carry_out
    from llm_icl.runs import RunDirectory

    with RunDirectory(folder) as run:
        with Progress() as progress:
            carry_out(request, run, progress)
        show(report_of([run]), folder, as_json)
