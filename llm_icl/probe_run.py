"""A probe in its directory: run.json, heads.parquet and the report."""

import json
import shlex
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import polars as pl

from llm_icl.errors import RequestError
from llm_icl.files import atomic_path, write_text
from llm_icl.probing import ProbeRequest, probe
from llm_icl.reports.probe import probe_html, probe_markdown
from llm_icl.runs import RunDirectory
from llm_icl.versions import versions


def carry_out(request: ProbeRequest, run: RunDirectory, report: Callable[[str, int, int], None]) -> pl.DataFrame:
    """Look at the heads, or take what an earlier start has found, and write the report. Returns one row for each head.

    Raises RequestError where the directory holds another run.
    """
    earlier, path = run.record, run.path / "heads.parquet"
    if earlier and earlier["request"] != json.loads(json.dumps(request.record())):
        raise RequestError(f"{run.path} holds the run of another request: give another --out")
    if earlier.get("status") == "complete" and earlier["versions"] == versions() and path.is_file():
        heads, record = pl.read_parquet(path), earlier
    else:
        began = time.monotonic()
        record = {
            "kind": "probe",
            "status": "complete",
            "command": shlex.join(["llm-icl", *sys.argv[1:]]),
            "request": request.record(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": versions(),
        }
        heads = probe(request, report)
        record["wall_seconds"] = time.monotonic() - began
        with atomic_path(path) as temporary:
            heads.write_parquet(temporary)
        run.write_record(record)
    write_text(run.path / "report.html", probe_html(heads, record))
    write_text(run.path / "report.md", probe_markdown(heads, record))
    return heads
