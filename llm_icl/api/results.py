"""What the functions of the API return."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_icl.errors import RequestError
from llm_icl.experiments.base import experiments
from llm_icl.reports.data import table_frame
from llm_icl.reports.html import render_html
from llm_icl.reports.joined import joined
from llm_icl.reports.terminal import render_terminal
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    import polars as pl

    from llm_icl.reports.document import Report


class Result:
    """Finished runs, of one kind or of several. In a notebook it shows its report."""

    def __init__(self, runs: Sequence[RunDirectory]) -> None:
        self.runs = list(runs)

    @property
    def paths(self) -> list[str]:
        """The folders of the runs; each can be a `model` again where it holds one."""
        return [str(run.path) for run in self.runs]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The run.json of each run."""
        return [run.record for run in self.runs]

    @cached_property
    def predictions(self) -> "pl.DataFrame":
        """One row for each learner, problem and position (llm_icl.predictions says what the columns are).

        Raises RequestError where no run has predictions: only evaluations do.
        """
        import polars as pl

        evaluations = [run for run in self.runs if (run.path / "predictions.parquet").is_file()]
        if not evaluations:
            raise RequestError(f"{', '.join(self.paths)}: only evaluations have predictions")
        return pl.concat([run.predictions() for run in evaluations], how="diagonal")

    @cached_property
    def scores(self) -> "pl.DataFrame":
        """The report's tables as one frame: the section, the table, and its columns; of an estimate also `…_low` and
        `…_high`, the ends of its 95 % interval.
        """
        import polars as pl

        frames = [table_frame(section.heading, table) for section in self.report.sections for table in section.tables]
        return pl.concat(frames, how="diagonal") if frames else pl.DataFrame()

    @cached_property
    def report(self) -> "Report":
        """What the runs have found: verdicts, tables, figures."""
        return report_of(self.runs)

    def __repr__(self) -> str:
        return render_terminal(self.report)

    def _repr_html_(self) -> str:
        """For notebooks: the page, in a frame of its own."""
        from html import escape

        page = escape(render_html(self.report), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:640px;border:0" title="llm-icl report"></iframe>'


def report_of(runs: Sequence[RunDirectory]) -> "Report":
    """One report of finished runs, of whatever kinds. Raises RequestError where one is not finished."""
    kinds: dict[str, list[RunDirectory]] = {}
    for run in runs:
        kinds.setdefault(run.kind, []).append(run)
    parts = [experiments.get(kind).report(some) for kind, some in kinds.items()]
    return parts[0] if len(parts) == 1 else joined(parts)
