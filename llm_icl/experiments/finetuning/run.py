"""A comparison in its directory: run.json and the numbers."""

import logging
import resource

import polars as pl

from llm_icl.config.files import atomic_path
from llm_icl.errors import RequestError
from llm_icl.experiments.base import Session
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.comparison import compare
from llm_icl.experiments.finetuning.reader import load_reader
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.progress import OnProgress
from llm_icl.runs import RunDirectory

log = logging.getLogger(__name__)

TABLES = ("answers", "measures", "layers")
# The keys of run.json, and what they hold.
_NUMBERS = {
    "rates": "rates",
    "demonstrations": "demonstrations",
    "kept_labels": "unchanged_labels",
    "losses": "losses",
    "scales": "scales",
}


def read(run: RunDirectory) -> Compared:
    """The results of a finished run. Raises RequestError where it is not finished, or lacks what is read today."""
    record = run.record
    if record.get("status") != "complete":
        raise RequestError(f"{run.path} holds no finished comparison")
    try:
        answers, measures, layers = (pl.read_parquet(run.path / f"{name}.parquet", glob=False) for name in TABLES)
    except (pl.exceptions.PolarsError, OSError) as problem:
        raise RequestError(f"{run.path} holds no finished comparison: {str(problem).splitlines()[0]}") from None
    if missing := [name for name in _NUMBERS if name not in record]:
        raise RequestError(f"{run.path} was made by an earlier version, without {missing[0]}: re-run it")
    rates, losses, scales = (
        {method: {int(seed): value for seed, value in by_seed.items()} for method, by_seed in record[name].items()}
        for name in ("rates", "losses", "scales")
    )
    demonstrations, unchanged, left_out = (
        {int(seed): value for seed, value in record.get(name, {}).items()}
        for name in ("demonstrations", "kept_labels", "left_out")
    )
    candidates = tuple(record["request"]["rates"])
    return Compared(answers, measures, layers, rates, candidates, demonstrations, unchanged, losses, scales, left_out)


def compare_in(session: Session, request: ComparisonRequest, on_progress: OnProgress) -> None:
    """Compare in the session's directory; seeds that an earlier start finished are not computed again."""

    def save() -> None:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        session.results["memory_gb"] = max(memory, session.earlier.get("memory_gb", 0.0))
        session.save()

    if request.drop:
        request = request.shortened(load_reader(request.model, request.task, request.separator))
    for remark in request.remarks:
        log.warning(remark)
    session.results["remarks"] = request.remarks
    try:
        save()
        found = compare(request, session.run.parts, on_progress, save)
    finally:
        save()
    session.results |= {key: getattr(found, name) for key, name in _NUMBERS.items()}
    session.results["left_out"] = found.left_out
    for name in TABLES:
        with atomic_path(session.path / f"{name}.parquet") as temporary:
            getattr(found, name).write_parquet(temporary)
