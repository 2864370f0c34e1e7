"""One report of finished runs of any kinds."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from llm_icl.experiments import evaluation, identification
from llm_icl.experiments.kinds import experiments
from llm_icl.runs import RunDirectory, readable

if TYPE_CHECKING:
    from llm_icl.reports.document import Card, Report

# The titles of reports of at most so many kinds are given; of more, how many runs there are, and of which kinds.
_NAMED = 2


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
        reports = {kind: experiments.get(kind).report(some) for kind, some in kinds.items()}
        if evaluation.KIND in reports and identification.KIND in reports:
            reports |= _sharing(reports[evaluation.KIND], reports[identification.KIND])
        of_kinds = f"{len(distinct)} runs: {', '.join(reports)}" if len(reports) > _NAMED else ""
        return joined(list(reports.values()), of_kinds)


def _sharing(measured: "Report", probed: "Report") -> "dict[str, Report]":
    """A subject that was evaluated and identified has one card, in the evaluation."""
    found = {card.of: card for card in probed.cards}
    names = {card.of for card in measured.cards}
    both = tuple(_one(card, found[card.of]) if card.of in found else card for card in measured.cards)
    rest = tuple(card for card in probed.cards if card.of not in names)
    return {evaluation.KIND: replace(measured, cards=both), identification.KIND: replace(probed, cards=rest)}


def _one(measured: "Card", probed: "Card") -> "Card":
    """Its algorithm is what searched queries say, its distance what was measured on the task's own."""
    from llm_icl.reports.document import BADGES, Finding

    where = measured.where if measured.where == probed.where else f"{measured.where}; algorithm: {probed.where}"
    trust, of_algorithm = measured.findings["Trust"], probed.findings["Trust"]
    badge = max(trust.badge, of_algorithm.badge, key=BADGES.index)
    both = Finding(badge, f"{trust.text} The algorithm: {of_algorithm.text}")
    findings = {**measured.findings, "Algorithm": probed.findings["Algorithm"], "Trust": both}
    return replace(measured, where=where, findings=findings)
