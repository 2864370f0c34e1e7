"""The report as plain text, and the table that `eval` prints."""

import dataclasses
import json
import math
from typing import Any

from tabulate import tabulate

from llm_icl.analysis.scores import TARGET, Score
from llm_icl.config.specs import counted
from llm_icl.experiments.evaluation.reports.content import Content, Section
from llm_icl.experiments.evaluation.reports.networks import networks_table
from llm_icl.reports.estimates import examples, number, points, share

HEADERS = (
    "learner", "last position", "mean", "seen", "unseen", "behind bayes-labels", "behind bayes",
    f"examples to {100 * TARGET:.0f} %", "log loss", "log loss above bayes-labels", "calibration error",
)  # fmt: skip
# What fits on a terminal.
SHORT = ("learner", "last position", "mean", "unseen", "behind bayes-labels")


def results_table(section: Section, style: str = "simple", columns: tuple[str, ...] = HEADERS) -> str:
    """The scores of one cell, in percent with 95 % intervals."""
    kept = [HEADERS.index(column) for column in columns]
    rows = [[row[i] for i in kept] for row in map(table_row, section.scores)]
    return tabulate(rows, columns, tablefmt=style, disable_numparse=True)


def table_row(score: Score) -> list[str]:
    return [
        score.learner,
        share(score.last),
        share(score.average),
        share(score.seen),
        share(score.unseen),
        points(score.regret_labels),
        points(score.regret),
        examples(score.examples),
        number(score.log_loss),
        number(score.regret_log_loss),
        "" if math.isnan(score.calibration_error) else f"{score.calibration_error:.3f}",
    ]


def problems_line(section: Section) -> str:
    cell = section.cell
    problems = counted(cell.problems, "problem")
    return f"{problems}, positions {cell.positions[0]} to {cell.positions[-1]}; accuracies in percent."


def missing_lines(section: Section) -> list[str]:
    """Answers that could not be used, and positions that are missing, with what they could change."""
    lines = []
    for score in section.scores:
        rates = ", ".join(f"{status} {100 * rate:.1f} %" for status, rate in score.statuses.items())
        if rates:
            lines.append(f"{score.learner}: {rates} of the answers.")
        if score.coverage < 1:
            low, high = score.bounds
            lines.append(
                f"{score.learner}: {100 * score.coverage:.1f} % of the positions are covered; the mean lies between "
                f"{100 * low:.1f} % (all missing wrong) and {100 * high:.1f} % (all right)."
            )
    return lines


def render_markdown(content: Content) -> str:
    parts = [f"# {content.title}: who learns it, and how well", ""]
    for section in content.sections:
        parts += [f"## {section.cell.title}", ""]
        parts += [f"- {sentence}" for sentence in section.sentences]
        parts += ["", problems_line(section), "", results_table(section, "github"), ""]
        parts += [f"- {line}" for line in missing_lines(section)]
        if section.networks:
            parts += ["", "What training took:", "", networks_table(section.networks), ""]
    parts += ["", "## How to read this", ""]
    parts += [f"- {note}" for note in content.notes]
    parts += ["", "## How it was made", ""]
    for record in content.records:
        parts += [f"    {record['command']}", ""]
        parts += [f"- {key}: {value}" for key, value in made_of(record).items()]
        parts.append("")
    return "\n".join(parts)


def made_of(record: dict[str, Any]) -> dict[str, str]:
    """The facts of a run that a reader may want to check."""
    calls = record["calls"]
    seconds = ", ".join(f"{name} {time:.1f} s" for name, time in record["seconds"].items())
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    retries, tokens, failed = (_counted(record.get(key, {})) for key in ("retries", "tokens", "failed"))
    facts = {
        "started": record["started"],
        "wall time": f"{record['wall_seconds']:.1f} s",
        "time by learner": seconds,
        "calls to models": f"{calls['new']} made, {calls['cached']} from the cache",
        "asked again after": retries,
        "failed": failed,
        "tokens of the answers, those from the cache too": tokens,
        "cost": f"{record['cost']:.4f} USD",
        "versions": versions,
        "models": "; ".join(f"{name}: {json.dumps(identity)}" for name, identity in record["models"].items()) or "none",
    }
    return {name: fact for name, fact in facts.items() if fact}


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def results_data(content: Content) -> dict[str, Any]:
    """The scores as data; what is not known is null."""
    return {
        "results": [
            {"task": section.cell.task, "n": section.cell.n, "problems": section.cell.problems}
            | _plain(dataclasses.asdict(score))
            for section in content.sections
            for score in section.scores
        ],
        "notes": content.notes,
    }


def _plain(value: Any) -> Any:
    """Estimates as [value, low, high]; NaN as null and infinity as text, which JSON has not."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
