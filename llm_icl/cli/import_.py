"""`llm-icl import`: a run from answers that were collected elsewhere."""

from pathlib import Path
from typing import Any

import click

# What all rows of a file have in common: how its problems were drawn, and how they were written.
_COMMON = ("task", "n", "seed", "points", "problems", "prompt")


@click.command("import", context_settings={"show_default": True})
@click.argument("answers", type=click.Path(path_type=Path))
@click.option("--learner", multiple=True, help="Classical learner. [the defaults for the task]")
@click.option("--tasks-dir", type=click.Path(path_type=Path, exists=True), help="Folder of your own task cards.")
@click.option("--prompts-dir", type=click.Path(path_type=Path, exists=True), help="Folder of your own templates.")
@click.option("--out", type=click.Path(path_type=Path), help="Run directory [a name under ./outputs].")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.pass_context
def command(context: click.Context, answers: Path, **chosen: Any) -> None:
    """Evaluate ANSWERS: a file of 'llm-icl sample --prompts' that was filled in, or the log of another harness: of
    inspect_ai (.eval or .json, of the task llm_icl/boolean), or of lm-evaluation-harness (samples_….jsonl, or the
    folder with it, of a task of 'llm-icl export-tasks').

    The same as 'llm-icl eval --model answers/FILE' with the task, n, seed, points, problems, prompt and positions of
    the file, without shuffled labels.
    """
    from llm_icl.cli.experiment import command_of
    from llm_icl.experiments.kinds import experiments

    settings = _settings(answers, {key: chosen[key] for key in ("tasks_dir", "prompts_dir")})
    given = settings | {"model": (f"answers/{answers}",), "shuffled_labels": False}
    own = {key: value for key, value in chosen.items() if value is not None}
    context.invoke(command_of(experiments.get("eval")), **given, **own)


def _settings(path: Path, folders: dict[str, Any]) -> dict[str, Any]:
    """The options of an evaluation that asks these prompts. Raises RequestError if there is none, or if a row is not
    what is drawn here.
    """
    from llm_icl.backends.collected import usable_answers
    from llm_icl.config.specs import Spec, parse_specs
    from llm_icl.errors import RequestError
    from llm_icl.tasks.options import QueryOptions
    from llm_icl.tasks.queries import queries

    if parse_specs([f"answers/{path}"]) != [Spec(f"answers/{path}")]:
        raise RequestError(f"{path}: a path with a comma, or with a colon and '=', is read as options: rename it")
    rows = usable_answers(path)
    if not rows:
        raise RequestError(f"{path} has no rows")
    for number, row in enumerate(rows, 1):
        if missing := [key for key in (*_COMMON, "position") if not isinstance(row.get(key), str | int)]:
            fields = "expected are the fields of 'llm-icl sample --prompts'"
            raise RequestError(f"{path}, row {number}: '{missing[0]}' is missing; {fields}")
    several = {key: sorted({str(row[key]) for row in rows}) for key in _COMMON}
    if mixed := [f"{key} {', '.join(values)}" for key, values in several.items() if len(values) > 1]:
        raise RequestError(f"{path} mixes {'; '.join(mixed)}: import each on its own")
    found = rows[0]
    try:
        positions = ",".join(map(str, sorted({int(row["position"]) for row in rows})))
    except ValueError:
        raise RequestError(f"{path}: a 'position' is not a whole number") from None
    drawn = {"points": found["points"], "problems": found["problems"], "positions": positions}
    drawn |= {"task": (str(found["task"]),), "n": (str(found["n"]),)}
    asked, *others = queries(QueryOptions.of(drawn | folders | {"seed": found["seed"], "prompt": str(found["prompt"])}))
    if others:
        raise RequestError(f"{path}: its rows name several tasks or n: '{found['task']}', n = {found['n']}")
    try:
        asked.check(rows)
    except RequestError as problem:
        raise RequestError(f"{path}, {problem}") from None
    return drawn | {key: (str(found[key]),) for key in ("seed", "prompt")}
