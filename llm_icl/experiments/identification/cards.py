"""The card of each identified subject."""

import math

from llm_icl.config.specs import any_of, counted
from llm_icl.experiments.identification.findings import Cell, Found
from llm_icl.experiments.identification.sentences import sentence, verdict_of
from llm_icl.reports.document import Card, Finding
from llm_icl.reports.values import written

# Below this share of answered questions, verdicts are on a part of them that may differ from the rest.
_MOST_ANSWERED = 0.95
# Whose answers are compared with exact Bayes' beside the subject's own.
_LOSES = {
    "single": "the verdict's algorithm",
    "changes": "what the verdict names",
    "too few": "the leading algorithm",
    "independent": "a model without the examples",
}


def card_of(cell: Cell, found: Found, heading: str) -> Card:
    one = found.identification
    algorithm = Finding(verdict_of(one).badge if one else "can't tell", sentence(found))
    findings = {"Algorithm": algorithm, "Distance": _distance(found), "Trust": _trust(cell, found)}
    return Card(found.subject, heading, findings)


def _distance(found: Found) -> Finding:
    one = found.identification
    if one is None or not math.isfinite(one.regret):
        return Finding("can't tell", "Exact Bayes is unknown here, or there are too few answers.")
    lost = (
        f"{100 * one.regret:.1f} points of accuracy below exact Bayes from the labels on the searched queries, without "
        "an interval"
    )
    explained = (
        f"; {_LOSES.get(one.verdict, 'the best mixture')} loses {100 * one.regret_explained:.0f} % of that too"
        if math.isfinite(one.regret_explained)
        else ""
    )
    return Finding("weak", f"{lost}{explained}. `llm-icl eval` measures it on the task's own queries.")


def _trust(cell: Cell, found: Found) -> Finding:
    answers = "probabilities" if found.probabilities else "labels"
    sentences = [
        f"{cell.contexts} problems with {' or '.join(map(str, cell.examples))} examples, {cell.queries} searched "
        f"queries behind each; {100 * found.answered:.0f} % answered, with {answers}."
    ]
    one = found.identification
    if one is None:
        return Finding("can't tell", " ".join(sentences))
    if one.problems < cell.contexts:
        sentences.append(f"{one.problems} of the problems have an answer.")
    if left_out := [str(m) for m in cell.examples if m not in one.sizes]:
        sentences.append(f"Too few are answered with {' or '.join(left_out)} examples: left out.")
    groups = [any_of(group) for group in cell.identifiability.groups if len(group) > 1]
    if others := cell.identifiability.further_pairs(cell.contexts):
        groups.append(counted(others, f"{'other ' if groups else ''}pair"))
    if groups:
        every = f"all {cell.contexts}" if one.problems < cell.contexts else "these"
        sentences.append(f"With 20 % of coin flips {every} problems would not tell apart: {'; '.join(groups)}.")
    sentences.append(f"{len(one.candidates)} candidates were compared, corrected together (Holm).")
    if math.isfinite(one.left.p_value):
        p = written(one.left.p_value, "p")
        sentences.append(f"What the verdict leaves: p {p if p.startswith('<') else f'= {p}'}.")
    return Finding("clear" if found.answered >= _MOST_ANSWERED else "weak", " ".join(sentences))
