"""`llm-icl plan`: how large a study must be, before anything is asked."""

import json
from typing import Any

import click

from llm_icl.cli.options import declared_options
from llm_icl.experiments.evaluation.planning import PlanOptions


@click.command("plan", context_settings={"show_default": True})
@declared_options(PlanOptions)
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
def command(as_json: bool, **chosen: Any) -> None:
    """How many problems find a difference between learners, and what they cost.

    How much differences vary is taken from --pilot runs, or without any from classical learners in place of models.
    """
    from llm_icl.experiments.evaluation.planning import plan
    from llm_icl.reports.data import report_data
    from llm_icl.reports.terminal import terminal_text

    report = plan(PlanOptions.of(chosen))
    if as_json:
        click.echo(json.dumps(report_data(report), indent=2, allow_nan=False))
        return
    click.echo("\n\n".join([f"{report.title}. {report.setting}", terminal_text(report), *report.notes]))
