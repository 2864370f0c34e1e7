"""A comparison in its directory: run.json and the numbers."""

import resource
import time
from collections.abc import Callable

import polars as pl

from llm_icl.config.files import atomic_path
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.comparison import Compared, ComparisonRequest, compare
from llm_icl.runs import RunDirectory, opening_record
from llm_icl.runs.versions import versions

_TABLES = ("answers", "measures", "layers")
_NUMBERS = ("rates", "demonstrations", "kept_labels", "losses")


def read(run: RunDirectory) -> Compared:
    """What a finished run has found. Raises RequestError where it is not finished, or lacks what is read today."""
    record = run.record
    if record.get("status") != "complete":
        raise RequestError(f"{run.path} holds no finished comparison")
    try:
        answers, measures, layers = (pl.read_parquet(run.path / f"{name}.parquet") for name in _TABLES)
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


def carry_out(request: ComparisonRequest, run: RunDirectory, report: Callable[[str, int, int], None]) -> None:
    """Compare; what an earlier start has found is taken from it.

    Raises RequestError where the directory holds another run.
    """
    earlier = run.record
    run.check_request(request.record())
    if earlier.get("status") == "complete" and earlier["versions"] == versions():
        return
    if earlier and earlier["versions"] != versions():
        run.forget_parts()
        earlier = {}
    began = time.monotonic() - earlier.get("wall_seconds", 0.0)
    record = opening_record("finetune-vs-icl", request.record())

    def write() -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        record["memory_gb"] = max(memory, earlier.get("memory_gb", 0.0))
        record["wall_seconds"] = time.monotonic() - began
        run.write_record(record)

    try:
        write()
        found = compare(request, run.parts, report, write)
    finally:
        write()
    record["status"] = "complete"
    record |= {name: getattr(found, name) for name in _NUMBERS}
    for name in _TABLES:
        with atomic_path(run.path / f"{name}.parquet") as temporary:
            getattr(found, name).write_parquet(temporary)
    write()
    run.forget_parts()
