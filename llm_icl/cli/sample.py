"""`llm-icl sample`: problems, prompts or probes, for use elsewhere."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.tasks.options import PREFIX, SamplingOptions

if TYPE_CHECKING:
    from llm_icl.tasks.dataset_folder import Content

_FOLDERS = ("tasks_dir", "prompts_dir")
_DRAWN = {"task": "the task, with its options", "n": "number of input bits", "seed": "seed of the problems"}
_PROBLEM = {"problem": "its index i in the endless sequence of the task's problems"}
_FILLED = {"answer": "0 or 1, to be filled in", "probability": "of answer 1, to be filled in"}
_COLUMNS = {
    "problems": _DRAWN | _PROBLEM | {
        "inputs": "the points, each a list of n bits",
        "labels": "their true labels",
        "shown_labels": "the labels as a learner sees them, which differ from the true ones by label noise",
        "taught": "how many of the first points are the function's teaching sequence",
        "parameters": "the function, as JSON",
    },
    "prompts": {"id": "of the prompt"} | _DRAWN | {
        "points": "points of each problem",
        "problems": "number of problems",
        "prompt": "name of the template",
        **_PROBLEM,
        "position": "number of examples before the query",
        "text": "the prompt, if it is one text",
        "messages": "the prompt, if it has turns",
        "labels": "how the labels 0 and 1 are written",
        "target": "the true label, as written",
        "reply": "what a model wrote, to be filled in",
        **_FILLED,
    },
    "probes": _DRAWN | _PROBLEM | {
        "examples": "number of examples",
        "probe": "number of the query behind this context",
        "inputs": "the examples, each a list of n bits",
        "labels": "their labels",
        "query": "the point that is asked about",
        "prompt": "the prompt, if it is one text",
        "messages": "the prompt, if it has turns",
        "candidates": "what each learning algorithm answers: P(y = 1)",
        **_FILLED,
    },
}  # fmt: skip


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

    A folder is a dataset with a card, and a split for each --task and --n: datasets.load_dataset(FOLDER).

    With --prompts: the prompts of these problems, one row for each position. Fill in 'reply' (a text), 'answer' (0 or
    1) or 'probability' (of answer 1), and import: llm-icl import FILE.

    With --task probe:TASK: queries behind --problems contexts of each number of --examples, chosen to tell learning
    algorithms apart, with the prompt and the algorithms' answers. Fill in 'answer' (0 or 1) or 'probability' (of answer
    1) in each row, and identify: llm-icl identify --answers FILE.
    """
    from llm_icl.errors import RequestError

    options = SamplingOptions.of(chosen)
    probed = any(task.startswith(PREFIX) for task in options.task)
    if options.prompts and (probed or target.suffix == ".npz"):
        raise RequestError("--prompts writes rows, of problems: .jsonl, .parquet or a folder, and no probes")
    if options.positions != "all" and not options.prompts:
        raise RequestError("--positions is for --prompts")
    if not probed and (options.examples or options.queries or options.candidate):
        raise RequestError(f"--examples, --queries and --candidate are for --task {PREFIX}TASK")
    write = _probes if probed else _prompts if options.prompts else _problems
    click.echo(f"{write(options, target)}: {target}")


def _problems(options: SamplingOptions, target: Path) -> str:
    from llm_icl.config.specs import counted
    from llm_icl.errors import RequestError
    from llm_icl.tasks.drawing import draw_each
    from llm_icl.tasks.exporting import export, table_of, writing

    drawn = draw_each(options)
    if target.suffix != ".npz":
        what = f"A row is a problem, of {counted(options.points, 'point')}."
        export([table_of(problems) for problems in drawn], _content(options, "problems", what), target, " .npz,")
    elif len(drawn) > 1:
        raise RequestError(
            f"{len(drawn)} tables (of each task and n one) do not fit into {target.name}: write a folder"
        )
    else:
        writing(target, drawn[0].save)
    return f"{counted(sum(map(len, drawn)), 'problem')} of {counted(options.points, 'point')}"


def _prompts(options: SamplingOptions, target: Path) -> str:
    from llm_icl.config.specs import counted
    from llm_icl.tasks.exporting import Table, export
    from llm_icl.tasks.queries import queries

    asked = queries(options)
    tables = [Table(one.problems.task, one.problems.n, list(one.rows())) for one in asked]
    export(tables, _content(options, "prompts", "A row is a prompt that asks for the label of a point."), target)
    problems = sum(len(one.problems) for one in asked)
    return f"{counted(sum(map(len, asked)), 'prompt')} of {counted(problems, 'problem')}"


def _probes(options: SamplingOptions, target: Path) -> str:
    from llm_icl.config.specs import counted, parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.experiments.identification.probes import Probes
    from llm_icl.prompting import load_prompt
    from llm_icl.tasks.cards import load_task
    from llm_icl.tasks.exporting import Table, export
    from llm_icl.tasks.options import EXAMPLES, QUERIES

    tasks, prompts = parse_specs([task.removeprefix(PREFIX) for task in options.task]), parse_specs([options.prompt])
    if len(tasks) > 1 or len(prompts) > 1 or len(options.n) > 1:
        raise RequestError("probes have one task, one n and one prompt")
    probes = Probes.drawn(
        load_task(tasks[0], options.tasks_dir), options.n[0], tuple(sorted(options.examples or EXAMPLES)),
        options.problems, options.queries or QUERIES, [str(spec) for spec in parse_specs(options.candidate)],
        options.seed,
    )  # fmt: skip
    table = Table(probes.task, probes.n, list(probes.rows(load_prompt(prompts[0], options.prompts_dir))))
    what = "A row is a query behind a context of examples, chosen to tell learning algorithms apart."
    export([table], _content(options, "probes", what), target)
    sizes, contexts, queries = probes.design.shape
    return f"{counted(sizes * contexts * queries, 'probe')} behind {sizes * contexts:,} contexts"


def _content(options: SamplingOptions, kind: str, what: str) -> "Content":
    from llm_icl.config.options import declared
    from llm_icl.tasks.dataset_folder import Content

    words = ["llm-icl", "sample"]
    for one in declared(SamplingOptions):
        value = getattr(options, one.name)
        if value != one.default and one.name not in _FOLDERS:
            listed = ",".join(map(str, value)) if one.several else str(value)
            words += [one.flag] if value is True else [one.flag, listed]
    return Content(what, _COLUMNS[kind], shlex.join([*words, "--to", "FOLDER"]))
