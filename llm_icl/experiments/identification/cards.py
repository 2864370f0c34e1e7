"""The card of each identified subject: one verdict over all cells, with their range; no averages of cells."""

import math
from collections import Counter
from collections.abc import Sequence

from llm_icl.analysis.identification.mixtures import OVER
from llm_icl.analysis.identification.result import Identification
from llm_icl.analysis.identification.verdict import KINDS, PART, REJECTED
from llm_icl.config.specs import span_of
from llm_icl.experiments.identification.findings import Cell, Found
from llm_icl.experiments.identification.sentences import about_seen, sentence, verdict_of
from llm_icl.reports.document import Badge, Card, Finding
from llm_icl.reports.values import written
from llm_icl.reports.verdicts import listed

# Below this share of answered questions, verdicts are on a part of them that may differ from the rest.
_MOST_ANSWERED = 0.95
# Whose answers are compared with exact Bayes' beside the subject's own.
_LOSES = {
    "single": "the verdict's algorithm",
    "changes": "what the verdict names",
    "independent": "a model without the examples",
}
# Verdicts that name what is run.
_CLAIMS = ("single", "changes", *OVER)
_BELOW = "below exact Bayes from the labels on the searched queries, without an interval"
_MEASURED = "`llm-icl eval` measures it on the task's own queries."
# A subject in a cell.
_Seen = tuple[Cell, Found]


def cards_of(cells: Sequence[Cell]) -> tuple[Card, ...]:
    subjects: dict[str, list[_Seen]] = {}
    for cell in cells:
        for found in cell.found:
            subjects.setdefault(found.subject, []).append((cell, found))
    return tuple(card_of(*seen[0]) if len(seen) == 1 else _over_cells(name, seen) for name, seen in subjects.items())


def card_of(cell: Cell, found: Found) -> Card:
    """The card of a subject in one cell."""
    algorithm = Finding(_badge(found), sentence(found))
    findings = {"Algorithm": algorithm, "Distance": _distance(found), "Trust": trust(cell, found)}
    return Card(found.subject, cell.title, findings)


def _badge(found: Found) -> Badge:
    return verdict_of(found.identification).badge if found.identification else "can't tell"


def _distance(found: Found) -> Finding:
    one = found.identification
    if one is None or not math.isfinite(one.regret):
        return Finding("can't tell", "Exact Bayes is unknown here, or there are too few answers.")
    lost = f"{100 * one.regret:.1f} points of accuracy {_BELOW}"
    explained = (
        f"; {_model_of(one)} loses {100 * one.regret_explained:.0f} % of that too"
        if math.isfinite(one.regret_explained)
        else ""
    )
    return Finding("weak", f"{lost}{explained}. {_MEASURED}")


def _model_of(one: Identification) -> str:
    """What gives the answers that are compared with exact Bayes' beside the subject's own."""
    if one.verdict == "too few" and not one.mixtures:
        return "the leading algorithm" if one.names else "the best constant"
    return _LOSES.get(one.verdict, "the best mixture")


def trust(cell: Cell, found: Found) -> Finding:
    """What the verdict on a subject in a cell rests on."""
    answers = "probabilities" if found.probabilities else "labels"
    sentences = [
        f"{cell.contexts} problems with {' or '.join(map(str, cell.examples))} examples, {cell.queries} searched "
        f"queries behind each; {100 * found.answered:.0f} % answered, with {answers}."
    ]
    sentences += filter(None, [about_seen(cell.examples, cell.seen)])
    one = found.identification
    if one is None:
        return Finding("can't tell", " ".join(sentences))
    if one.problems < cell.contexts:
        sentences.append(f"{one.problems} of the problems have an answer.")
    if left_out := [str(m) for m in cell.examples if m not in one.sizes]:
        sentences.append(f"Too few are answered with {' or '.join(left_out)} examples: left out.")
    every = f"all {cell.contexts}" if one.problems < cell.contexts else "these"
    if untold := cell.identifiability.untold(cell.contexts):
        sentences.append(f"With 20 % of coin flips {every} problems would not tell apart: {'; '.join(untold)}.")
    like = _like(cell, one)
    if like:
        sentences.append(f"That is: it would not be told from {listed(like)}.")
    if math.isfinite(one.noticed):
        sentences.append(
            f"Of the other candidates {100 * one.noticed:.0f} % would be found if they were run on "
            f"{100 * PART:.0f} % of the answers."
        )
    if one.verdict in _CLAIMS and not one.own_known:
        sentences.append(
            "Labels that were asked for once do not tell noise from a rule that differs in a few answers: ask again "
            "(`--repeats 2`)."
        )
    sentences.append(f"{len(one.candidates)} candidates were compared, corrected together (Holm).")
    if math.isfinite(one.left.p_value):
        p = written(one.left.p_value, "p")
        sentences.append(f"What the verdict leaves: p {p if p.startswith('<') else f'= {p}'}.")
    return Finding("clear" if _is_firm(cell, found) else "weak", " ".join(sentences))


def _is_firm(cell: Cell, found: Found) -> bool:
    """Whether most questions were answered, and would have told what is named from all other candidates, lapses and
    all.
    """
    one = found.identification
    return bool(one and found.answered >= _MOST_ANSWERED and one.verdict != "too few" and not _like(cell, one))


def _like(cell: Cell, one: Identification) -> list[str]:
    """What would not be told from what the verdict says that it runs."""
    return cell.identifiability.like(one.names, cell.contexts) if one.verdict in _CLAIMS else []


def _over_cells(name: str, seen: Sequence[_Seen]) -> Card:
    findings = {"Algorithm": _algorithms(seen), "Distance": _distances(seen), "Trust": _trust_in_all(seen)}
    return Card(name, f"{len(seen)} cells (task and n)", findings)


def _algorithms(seen: Sequence[_Seen]) -> Finding:
    """How often each verdict was found, and with which algorithms."""
    named: dict[str, Counter[str]] = {}
    for _, found in seen:
        one = found.identification
        kind = one.verdict if one else "unanswered"
        names = _joined(one) if one and one.verdict != "too few" else ""
        named.setdefault(kind, Counter())[names] += 1
    parts = [
        f"{KINDS.get(kind, 'too few answers')} in {_cells(names.total(), seen)}{_listed(kind, names)}"
        for kind, names in sorted(named.items(), key=lambda each: -each[1].total())
    ]
    badges = {_badge(found) for _, found in seen}
    return Finding(badges.pop() if len(badges) == 1 else "weak", f"By searched queries: {'; '.join(parts)}.")


def _joined(one: Identification) -> str:
    return listed(one.names) if one.verdict == "single" else " and ".join(one.names)


def _listed(kind: str, names: Counter[str]) -> str:
    several = "; ".join(f"{name} in {count}" for name, count in names.most_common() if name)
    nearest = "nearest: " if kind == "none" else ""
    return f" ({nearest}{several})" if several else ""


def _distances(seen: Sequence[_Seen]) -> Finding:
    known = sorted(
        (found.identification.regret, cell.title)
        for cell, found in seen
        if found.identification and math.isfinite(found.identification.regret)
    )
    if not known:
        return Finding("can't tell", "Exact Bayes is unknown here, or there are too few answers.")
    (least, best), (most, worst) = known[0], known[-1]
    said = f"From {100 * least:.1f} ({best}) to {100 * most:.1f} points of accuracy ({worst}) {_BELOW}"
    if unknown := len(seen) - len(known):
        said += f"; exact Bayes is unknown, or there are too few answers, in {_cells(unknown, seen)}"
    return Finding("weak", f"{said}. {_MEASURED}")


def _trust_in_all(seen: Sequence[_Seen]) -> Finding:
    identified = [found.identification for _, found in seen if found.identification]
    answers = " or ".join(dict.fromkeys("probabilities" if found.probabilities else "labels" for _, found in seen))
    least = min(found.answered for _, found in seen)
    sentences = [
        f"{span_of([cell.contexts for cell, _ in seen])} problems and {span_of([cell.queries for cell, _ in seen])} "
        f"searched queries in each cell; {100 * least:.0f} % answered{' or more' if least < 1 else ''}, with {answers}."
    ]
    if repeated := sum(any(cell.seen) for cell, _ in seen):
        sentences.append(f"Some of the queries stand among the examples in {_cells(repeated, seen)}.")
    if not identified:
        return Finding("can't tell", " ".join(sentences))
    unclear = sum(bool(cell.identifiability.untold(cell.contexts)) for cell, _ in seen)
    if unclear:
        sentences.append(
            f"With 20 % of coin flips these problems would not tell all candidates apart in {_cells(unclear, seen)}."
        )
    sentences.append(
        f"{span_of([len(one.candidates) for one in identified])} candidates were compared in each, corrected together "
        "(Holm)."
    )
    like = sum(bool(found.identification and _like(cell, found.identification)) for cell, found in seen)
    if like:
        sentences.append(f"In {_cells(like, seen)} they would not tell all others from what is named.")
    left = sum(one.left.p_value < REJECTED for one in identified)
    sentences.append(f"The verdict leaves something that is not noise in {_cells(left, seen)}.")
    firm = sum(_is_firm(cell, found) for cell, found in seen)
    return Finding("clear" if firm == len(seen) else "weak", " ".join(sentences))


def _cells(count: int, seen: Sequence[_Seen]) -> str:
    return f"{count} of {len(seen)} cells"
