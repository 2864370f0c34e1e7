"""A probe in its directory: run.json and heads.parquet."""

import time
from collections.abc import Callable

import polars as pl

from llm_icl.config.files import atomic_path
from llm_icl.experiments.probing.request import ProbeRequest, probe
from llm_icl.runs import RunDirectory, opening_record
from llm_icl.runs.versions import versions


def carry_out(request: ProbeRequest, run: RunDirectory, report: Callable[[str, int, int], None]) -> pl.DataFrame:
    """Look at the heads, or take what an earlier start has found. Returns one row for each head.

    Raises RequestError where the directory holds another run.
    """
    earlier, path = run.record, run.path / "heads.parquet"
    run.check_request(request.record())
    if earlier.get("status") == "complete" and earlier["versions"] == versions() and path.is_file():
        return pl.read_parquet(path)
    began = time.monotonic()
    record = opening_record("probe", request.record())
    heads = probe(request, report)
    record |= {"status": "complete", "wall_seconds": time.monotonic() - began}
    with atomic_path(path) as temporary:
        heads.write_parquet(temporary)
    run.write_record(record)
    return heads
