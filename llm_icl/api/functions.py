"""The API's functions. Their arguments are the options of the commands, with underscores."""

import inspect
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from llm_icl.api.results import Result
from llm_icl.config.options import Options, declared
from llm_icl.config.secrets import holds_key, redact
from llm_icl.errors import RequestError
from llm_icl.experiments.kinds import experiments
from llm_icl.problems import Problems
from llm_icl.progress import OnProgress, silent
from llm_icl.runs import RunDirectory
from llm_icl.runs.listing import finished_runs
from llm_icl.tasks.drawing import draw as draw_problems
from llm_icl.tasks.options import DrawingOptions


def _refuse_keys(arguments: Mapping[str, Any]) -> None:
    """Raise RequestError, without repeating it, if an argument holds a key: names and records would hold it too."""
    for name, value in arguments.items():
        parts = value if isinstance(value, list | tuple) else (value,)
        if any(holds_key(str(part)) for part in parts if isinstance(part, str | Path)):
            raise RequestError(f"{name} holds an API key or password: keys belong into environment variables")


def _run(kind: str, out: str | Path | None, keep_old: bool, on_progress: OnProgress, options: dict[str, Any]) -> Result:
    _refuse_keys({**options, "out": out})
    entry = experiments.get(kind)
    experiment = entry.of(entry.options.of(options))
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    experiment.command = redact(f"llm_icl.{kind.replace('-', '_').replace('eval', 'evaluate')}({given})")
    folder = Path(out) if out is not None else Path("outputs") / experiment.directory_name()
    if not folder.name:
        raise RequestError(f"out={str(out)!r} does not name a folder")
    run = experiment.run(folder, on_progress, keep_old)
    if failure := experiment.failure(run):
        raise failure
    return Result([run])


def evaluate(
    out: str | Path | None = None, keep_old: bool = False, on_progress: OnProgress = silent, **options: Any
) -> Result:
    """Evaluate models and learners on the same problems: `evaluate(model="none", task="parity", n=[5, 7])`."""
    return _run("eval", out, keep_old, on_progress, options)


def train(
    out: str | Path | None = None, keep_old: bool = False, on_progress: OnProgress = silent, **options: Any
) -> Result:
    """Train a network to learn in context: `train(task="conjunction", n=10, steps=500)`."""
    return _run("train", out, keep_old, on_progress, options)


def identify(
    out: str | Path | None = None, keep_old: bool = False, on_progress: OnProgress = silent, **options: Any
) -> Result:
    """Find out which learning algorithm a subject runs: `identify(model="outputs/mine", task="majority")`."""
    return _run("identify", out, keep_old, on_progress, options)


def probe(
    out: str | Path | None = None, keep_old: bool = False, on_progress: OnProgress = silent, **options: Any
) -> Result:
    """Compute induction and nearest-neighbour scores of attention heads: `probe(model="outputs/mine")`."""
    return _run("probe", out, keep_old, on_progress, options)


def finetune_vs_icl(
    out: str | Path | None = None, keep_old: bool = False, on_progress: OnProgress = silent, **options: Any
) -> Result:
    """Compare in-context learning with finetuning on the same demonstrations: `finetune_vs_icl(dataset="sst2")`."""
    return _run("finetune-vs-icl", out, keep_old, on_progress, options)


def report(*runs: str | Path | Result, out: str | Path | None = None, export: str | Path | None = None) -> Result:
    """Compare finished runs of any kinds, or a suite's, in one report; with `out` the report is also written to that
    folder, with `export` its figures, tables and numbers for a paper.
    """
    from llm_icl.reports.export import write_export
    from llm_icl.reports.files import write_report

    _refuse_keys({"runs": runs, "out": out, "export": export})
    if not runs:
        raise RequestError("there is no run to report")
    found: list[RunDirectory] = []
    for run in runs:
        found += run.runs if isinstance(run, Result) else finished_runs(Path(run))
    result = Result(found)
    if export is not None:
        write_export(result.report, Path(export))
    if out is not None:
        write_report(result.report, Path(out))
    return result


def load(run: str | Path) -> Result:
    """Load a finished run. Raises RequestError if the folder does not contain one."""
    _refuse_keys({"run": run})
    return Result([RunDirectory.finished(Path(run))])


def draw(**options: Any) -> Problems:
    """Draw problems of a task: `draw(task="majority", n=5, points=40, problems=100)`; xs (N, m, n) and ys (N, m)."""
    _refuse_keys(options)
    return draw_problems(DrawingOptions.of(options))


def _declare(function: Callable[..., Any], options: type[Options]) -> None:
    """Set the signature and docstring of a function from its declared options."""
    own = [one for one in inspect.signature(function).parameters.values() if one.kind is not one.VAR_KEYWORD]
    hints = typing.get_type_hints(options)
    given = [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if one.required else one.default,
            annotation=hints[one.name],
        )
        for one in declared(options)
    ]
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in own]
    returned = inspect.signature(function).return_annotation
    vars(function)["__signature__"] = inspect.Signature([*given, *named], return_annotation=returned)
    lines = "\n".join(f"    {one.name}: {one.text}" for one in declared(options))
    function.__doc__ = f"{function.__doc__}\n\n{lines}\n"


for _name, _function in (
    ("eval", evaluate),
    ("train", train),
    ("identify", identify),
    ("probe", probe),
    ("finetune-vs-icl", finetune_vs_icl),
):
    _declare(_function, experiments.get(_name).options)
_declare(draw, DrawingOptions)
