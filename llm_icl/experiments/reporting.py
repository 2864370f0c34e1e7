"""One report of finished runs of any kinds."""

from collections.abc import Sequence

from llm_icl.experiments.base import experiments
from llm_icl.reports.document import Report
from llm_icl.reports.joined import joined
from llm_icl.runs import RunDirectory


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """A part for each kind, in order of appearance. Raises RequestError for an unfinished run or an
    unknown kind.
    """
    kinds: dict[str, list[RunDirectory]] = {}
    for run in runs:
        kinds.setdefault(run.kind, []).append(run)
    return joined([experiments.get(kind).report(some) for kind, some in kinds.items()])
