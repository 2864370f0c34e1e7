"""One report of finished runs of any kinds."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from llm_icl.experiments.kinds import experiments
from llm_icl.runs import RunDirectory, readable

if TYPE_CHECKING:
    from llm_icl.reports.document import Report


def report_of(runs: Sequence[RunDirectory]) -> "Report":
    """A part for each kind, in order of appearance. A copy of a run counts once. Raises RequestError for an unfinished
    run or an unknown kind.
    """
    from llm_icl.reports.joined import joined  # all kinds are imported for a list of commands, reports are not

    kinds: dict[str, list[RunDirectory]] = {}
    distinct: dict[str, RunDirectory] = {}
    for run in runs:
        distinct.setdefault(json.dumps(run.record, sort_keys=True), run)
    for run in distinct.values():
        kinds.setdefault(run.kind, []).append(run)
    with readable(*(run.path for run in runs)):
        return joined([experiments.get(kind).report(some) for kind, some in kinds.items()])
