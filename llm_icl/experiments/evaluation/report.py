"""The report of evaluations."""

from llm_icl.experiments.evaluation.reports.content import Content
from llm_icl.experiments.evaluation.reports.figures import all_figures
from llm_icl.experiments.evaluation.reports.markdown import HEADERS, made_of, missing_lines, problems_line, table_row
from llm_icl.experiments.evaluation.reports.networks import NETWORK_HEADERS, network_row
from llm_icl.reports.html import page


def render_html(content: Content) -> str:
    """The page of a comparison."""
    return page(
        "report.html.jinja",
        all_figures(content),
        content=content,
        headers=HEADERS,
        table_row=table_row,
        problems_line=problems_line,
        missing_lines=missing_lines,
        made_of=made_of,
        network_headers=NETWORK_HEADERS,
        network_row=network_row,
    )
