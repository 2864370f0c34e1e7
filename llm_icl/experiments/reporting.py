"""One report of finished runs, whatever their kinds."""

from collections.abc import Sequence
from importlib import import_module

from llm_icl.errors import RequestError
from llm_icl.reports.document import Report
from llm_icl.reports.joined import joined
from llm_icl.runs import RunDirectory

# Where the function report_of of a kind of run is. Imported when needed: a report of one kind does not load the others.
_MODULES = {
    "eval": "llm_icl.experiments.evaluation.report",
    "train": "llm_icl.experiments.training.report",
    "probe": "llm_icl.experiments.probing.report",
    "train-lm": "llm_icl.experiments.language_modelling.report",
    "finetune-vs-icl": "llm_icl.experiments.finetuning.report",
}


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """Runs of one kind are compared, and different kinds stand one after the other. Raises RequestError."""
    by_kind: dict[str, list[RunDirectory]] = {}
    for run in runs:
        by_kind.setdefault(run.record.get("kind", "eval"), []).append(run)
    if unknown := sorted(set(by_kind) - set(_MODULES)):
        raise RequestError(f"there is no report of runs of the kind '{unknown[0]}'")
    return joined([import_module(_MODULES[kind]).report_of(some) for kind, some in by_kind.items()])
