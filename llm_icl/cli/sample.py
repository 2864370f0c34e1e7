"""`llm-icl sample`: problems, or probes, for use elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.tasks.options import SamplingOptions

if TYPE_CHECKING:
    from llm_icl.learners.probes import Probes


@click.command("sample", context_settings={"show_default": True})
@declared_options(SamplingOptions)
@click.option(
    "--to",
    "target",
    required=True,
    type=click.Path(path_type=Path),
    help="FILE.npz, .jsonl, .parquet, or a folder for a Hugging Face dataset.",
)
def command(target: Path, **chosen: Any) -> None:
    """Draw problems into a file: inputs, true labels, labels as shown, and function parameters.

    With --prompts: the prompts of these problems, one row for each position. Fill in 'reply' (a text), 'answer' (0 or
    1) or 'probability' (of answer 1), and import: llm-icl import FILE.

    With --task probe:TASK: queries behind --problems contexts of each number of --examples, chosen to tell learning
    algorithms apart, with the prompt and the algorithms' answers. Fill in 'answer' (0 or 1) or 'probability' (of answer
    1) in each row, and identify: llm-icl identify --answers FILE.
    """
    from llm_icl.config.specs import counted, parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.experiments.evaluation.request import read_positions
    from llm_icl.prompting import load_prompt
    from llm_icl.prompting.exporting import prompt_rows
    from llm_icl.prompting.rendering import check_task
    from llm_icl.tasks.drawing import draw
    from llm_icl.tasks.exporting import export, export_rows
    from llm_icl.tasks.options import PREFIX

    options = SamplingOptions.of(chosen)
    if options.prompts and (options.task.startswith(PREFIX) or target.suffix == ".npz"):
        raise RequestError("--prompts writes rows, of problems: .jsonl, .parquet or a folder, and no probes")
    if options.positions != "all" and not options.prompts:
        raise RequestError("--positions is for --prompts")
    if options.task.startswith(PREFIX):
        prompt, probes = _probes(options)
        export_rows(probes.rows(prompt), target)
        sizes, contexts, queries = probes.design.shape
        click.echo(f"{counted(sizes * contexts * queries, 'probe')} behind {sizes * contexts:,} contexts: {target}")
        return
    if options.examples or options.queries or options.candidate:
        raise RequestError(f"--examples, --queries and --candidate are for --task {PREFIX}TASK")
    problems = draw(options)
    if options.prompts:
        (spec,) = parse_specs([options.prompt])
        prompt = load_prompt(spec, options.prompts_dir)
        check_task(prompt, problems.task)
        positions = read_positions(options.positions, problems.points)
        export_rows(prompt_rows(problems, prompt, positions), target)
        count = len(problems) * len(positions)
        click.echo(f"{counted(count, 'prompt')} of {counted(len(problems), 'problem')}: {target}")
        return
    export(problems, target)
    click.echo(f"{counted(len(problems), 'problem')} of {counted(problems.points, 'point')}: {target}")


def _probes(options: SamplingOptions) -> "tuple[Any, Probes]":
    from llm_icl.config.specs import parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.learners.probes import Probes
    from llm_icl.prompting import load_prompt
    from llm_icl.tasks.cards import load_task
    from llm_icl.tasks.options import EXAMPLES, PREFIX, QUERIES

    tasks = parse_specs([options.task.removeprefix(PREFIX)])
    prompts = parse_specs([options.prompt])
    if len(tasks) > 1 or len(prompts) > 1:
        raise RequestError("probes have one task and one prompt")
    candidates = [str(spec) for spec in parse_specs(options.candidate)]
    probes = Probes.drawn(
        load_task(tasks[0], options.tasks_dir), options.n, tuple(sorted(options.examples or EXAMPLES)),
        options.problems, options.queries or QUERIES, candidates, options.seed,
    )  # fmt: skip
    return load_prompt(prompts[0], options.prompts_dir), probes
