"""What several runs found, with names that tell their subjects apart."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from llm_icl.analysis.names import Names
from llm_icl.experiments.identification.findings import Cell, read_findings
from llm_icl.experiments.namesakes import namesakes
from llm_icl.runs import RunDirectory
from llm_icl.runs.listing import short_names


@dataclass(frozen=True)
class Gathered:
    """A run with its cells, and what its subjects are called in the report."""

    run: RunDirectory
    cells: tuple[Cell, ...]
    called: dict[str, str]

    def named(self) -> list[Cell]:
        """The cells with these names."""
        return [
            replace(cell, found=tuple(replace(one, subject=self.called[one.subject]) for one in cell.found))
            for cell in self.cells
        ]


def gather(runs: Sequence[RunDirectory]) -> list[Gathered]:
    """A language model that was asked with several prompts is named with its prompt; a subject with different verdicts
    on the same probes, or that is not the same in all runs, with its run. Raises RequestError if a run cannot be read.
    """
    read = [(run, tuple(read_findings(run.path))) for run in runs]
    prompts: dict[str, set[str]] = defaultdict(set)
    verdicts: dict[tuple[str, str | None, str], set[str]] = defaultdict(set)
    for run, cells in read:
        for cell in cells:
            probes = repr(replace(cell, found=()))
            for one in cell.found:
                prompt = _prompt(run, one.subject)
                prompts[one.subject] |= {prompt} if prompt else set()
                verdicts[one.subject, prompt, probes].add(repr(one))
    names = Names(
        by_prompt=frozenset(name for name, some in prompts.items() if len(some) > 1),
        by_run=namesakes(run.record["request"] for run in runs).union(
            name for (name, *_), some in verdicts.items() if len(some) > 1
        ),
    )
    found = []
    for (run, cells), short in zip(read, short_names(runs), strict=True):
        subjects = {one.subject for cell in cells for one in cell.found}
        found.append(Gathered(run, cells, {name: names.of(name, _prompt(run, name), short) for name in subjects}))
    return found


def _prompt(run: RunDirectory, subject: str) -> str | None:
    """The prompt that a subject was asked with; None if it is not a language model."""
    record = run.record
    return record["request"]["prompts"][0]["name"] if subject in record.get("models", {}) else None
