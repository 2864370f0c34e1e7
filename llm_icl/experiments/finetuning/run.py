"""A comparison in its directory: run.json and the numbers."""

import resource

import polars as pl

from llm_icl.config.files import atomic_path
from llm_icl.errors import RequestError
from llm_icl.experiments.base import Session
from llm_icl.experiments.finetuning.comparison import Compared, ComparisonRequest, compare
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory

TABLES = ("answers", "measures", "layers")
_NUMBERS = ("rates", "demonstrations", "kept_labels", "losses")


def read(run: RunDirectory) -> Compared:
    """What a finished run has found. Raises RequestError where it is not finished, or lacks what is read today."""
    record = run.record
    if record.get("status") != "complete":
        raise RequestError(f"{run.path} holds no finished comparison")
    try:
        answers, measures, layers = (pl.read_parquet(run.path / f"{name}.parquet") for name in TABLES)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise RequestError(f"{run.path} holds no finished comparison: {str(problem).splitlines()[0]}") from None
    if missing := [name for name in _NUMBERS if name not in record]:
        raise RequestError(f"{run.path} was made by an earlier version, without {missing[0]}: run it again")
    rates, losses = (
        {way: {int(seed): value for seed, value in some.items()} for way, some in record[name].items()}
        for name in ("rates", "losses")
    )
    demonstrations, kept_labels = (
        {int(seed): value for seed, value in record[name].items()} for name in ("demonstrations", "kept_labels")
    )
    tried = tuple(record["request"]["rates"])
    return Compared(answers, measures, layers, rates, tried, demonstrations, kept_labels, losses)


def compare_in(session: Session, request: ComparisonRequest, on_progress: OnProgress) -> None:
    """Compare in the session's directory; what an earlier start has found is taken from it."""

    def save() -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        session.results["memory_gb"] = max(memory, session.earlier.get("memory_gb", 0.0))
        session.save()

    try:
        save()
        found = compare(request, session.run.parts, on_progress, save)
    finally:
        save()
    session.results |= {name: getattr(found, name) for name in _NUMBERS}
    for name in TABLES:
        with atomic_path(session.path / f"{name}.parquet") as temporary:
            getattr(found, name).write_parquet(temporary)
