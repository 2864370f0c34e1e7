"""The return value of the API's functions."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from llm_icl.errors import RequestError
from llm_icl.experiments.reporting import report_of
from llm_icl.reports.frame import report_frame
from llm_icl.reports.html import html_page
from llm_icl.reports.terminal import terminal_text
from llm_icl.runs import RunDirectory

if TYPE_CHECKING:
    import polars as pl

    from llm_icl.reports.document import Report


class Result:
    """Finished runs of one or several kinds. A notebook displays the report."""

    def __init__(self, runs: Sequence[RunDirectory]) -> None:
        self.runs = list(runs)

    @property
    def paths(self) -> list[str]:
        """The folders of the runs. The folder of a training run can be passed as `model`."""
        return [str(run.path) for run in self.runs]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The run.json of each run."""
        return [run.record for run in self.runs]

    @cached_property
    def predictions(self) -> "pl.DataFrame":
        """One row for each learner, problem and position (columns: llm_icl.predictions).

        Raises RequestError if no run has predictions; only evaluations and identifications have them.
        """
        import polars as pl

        answered = [run for run in self.runs if (run.path / "predictions.parquet").is_file()]
        if not answered:
            raise RequestError(f"{', '.join(self.paths)}: only evaluations and identifications have predictions")
        return pl.concat([run.predictions() for run in answered], how="diagonal")

    @cached_property
    def scores(self) -> "pl.DataFrame":
        """The tables of the report as one frame (see llm_icl.reports.frame)."""
        return report_frame(self.report)

    @cached_property
    def report(self) -> "Report":
        """The report of the runs: verdicts, tables, figures."""
        return report_of(self.runs)

    def __repr__(self) -> str:
        return terminal_text(self.report)

    def _repr_html_(self) -> str:
        """For notebooks: the HTML page in an iframe."""
        from html import escape

        page = escape(html_page(self.report), quote=True)
        return f'<iframe srcdoc="{page}" style="width:100%;height:640px;border:0" title="llm-icl report"></iframe>'
