"""Verdicts on language models and networks: what their comparisons with references show."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from llm_icl.analysis.cells import Cell
from llm_icl.analysis.comparisons import MARGIN, Comparison, Judgement, Outcome, compare
from llm_icl.analysis.scores import accuracy, score
from llm_icl.learners.ceilings import CEILING, FUNCTION, REFERENCE, ceiling_of, standing
from llm_icl.problems import Task

# The comparisons of a cell, or what became of them: by subject and reference.
Pair = tuple[str, str]

_RELATIONS: dict[Outcome, str] = {
    "above": "above",
    "equivalent": f"within {100 * MARGIN:.0f} points of",
    "identical": "identical to",
    "below": "below",
}
_BAYES = ("bayes", "bayes-labels")
_CALLED = {
    CEILING: "exact Bayes, the best possible",
    FUNCTION: "the function itself",
    REFERENCE: "exact Bayes from the labels (a reference: learners can be above it)",
}


@dataclass(frozen=True)
class Reference:
    """A learner that others are compared with, and what a sentence calls it."""

    name: str
    called: str


def references(cell: Cell, task: Task, subject: str) -> list[Reference]:
    """What a language model or a network is compared with, as far as the cell has it."""
    found = [
        Reference("best-constant", "the best constant"),
        Reference(cell.control_of(subject), "itself with shuffled labels"),
        Reference("nearest-neighbour", "nearest neighbour"),
    ]
    if ceiling := ceiling_of(cell.learners, task, cell.n) or next(
        (name for name in _BAYES if name in cell.learners), ""
    ):
        found.append(Reference(ceiling, _CALLED[standing(ceiling, task, cell.n)]))
    return [reference for reference in found if reference.name in cell.learners]


def comparisons(cell: Cell, task: Task) -> Iterator[tuple[Pair, Comparison]]:
    """All comparisons that the verdicts on a cell make."""
    for subject in (*cell.models, *cell.networks):
        mine = cell.learners[subject]
        if np.isnan(mine.prediction).all():
            continue
        for reference in references(cell, task, subject):
            other = cell.learners[reference.name]
            # Where all labels are equal, shuffled labels are the same labels.
            where = ~mine.one_label if reference.name == cell.control_of(subject) else None
            yield (
                (subject, reference.name),
                compare(mine.correct, other.correct, (mine.prediction, other.prediction), where),
            )


def verdict(cell: Cell, task: Task, model: str, judged: Mapping[Pair, Judgement]) -> list[str]:
    """Does it learn, does it use the labels, and how far is it from optimal?"""
    if np.isnan(cell.learners[model].prediction).all():
        return [f"{model}: no answer that could be used."]
    sentences = [_accuracies(cell, model)]
    untold: list[tuple[Reference, Judgement]] = []
    for reference in references(cell, task, model):
        judgement = judged[model, reference.name]
        shown = f" ({_points(judgement)})"
        control = reference.name == cell.control_of(model)
        if control and judgement.outcome == "above":
            sentences.append(f"It is above {reference.called}{shown}: it uses the labels.")
        elif judgement.outcome == "identical":
            where = f"all {judgement.problems} problems" if judgement.problems > 1 else "the one problem"
            sentences.append(f"It gives the same answers as {reference.called}, on {where}.")
        elif judgement.outcome in _RELATIONS:
            sentences.append(f"It is {_RELATIONS[judgement.outcome]} {reference.called}{shown}.")
        elif judgement.outcome == "no data":
            sentences.append(f"No query was answered by both it and {reference.called}.")
        else:
            untold.append((reference, judgement))
    if untold:
        parts = "; ".join(f"{reference.called} ({_untold(judgement)})" for reference, judgement in untold)
        sentences.append(f"Too few problems to tell it from {parts}.")
    return sentences


def verdict_on_networks(cell: Cell, task: Task, judged: Mapping[Pair, Judgement]) -> list[str]:
    """Which networks are above, equivalent to or below each reference."""
    sentences = []
    shared = {reference.name: reference for name in cell.networks for reference in references(cell, task, name)}
    for reference in reversed(shared.values()):
        gains = {name: judged[name, reference.name] for name in cell.networks if (name, reference.name) in judged}
        ranked = sorted(gains.items(), key=lambda entry: (not entry[1].shown.known, -entry[1].shown.value))
        parts = []
        for outcome, relation in _RELATIONS.items():
            names = [f"{name} ({100 * j.shown.value:+.1f})" for name, j in ranked if j.outcome == outcome]
            if names:
                parts.append(f"{relation} it {_are(names)}")
        names = [f"{name} ({_untold(j)})" for name, j in ranked if j.outcome == "too few"]
        if names:
            parts.append(f"too few problems to tell {', '.join(names)} from it")
        if parts:
            sentences.append(f"Compared with {reference.called}, in points over all queries: {'; '.join(parts)}.")
    return sentences


def left_out(cell: Cell) -> str:
    """How many problems the comparison with shuffled labels leaves out; empty if none."""
    counts: dict[tuple[int, int], list[str]] = {}
    for model in cell.models:
        if cell.control_of(model) in cell.learners:
            mine = cell.learners[model]
            counts.setdefault((int(mine.one_label.sum()), int(mine.asked.any(axis=1).sum())), []).append(model)
    parts = []
    for (same, problems), models in counts.items():
        if same:
            have = "has one label" if same == 1 else "have one label"
            of = f" ({', '.join(models)})" if len(counts) > 1 else ""
            parts.append(f"{same} of {problems} problems{of} {have} only")
    return f"{'; '.join(parts)}: left out of the comparison with shuffled labels." if parts else ""


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _accuracies(cell: Cell, model: str) -> str:
    """Its accuracy over all queries and at the last position that it was asked."""
    answered = cell.learners[model]
    mean = percent(score(cell, model).average.value)
    j = int(np.flatnonzero(answered.asked.any(axis=0))[-1])
    last = accuracy(answered.correct[:, j : j + 1])
    where = "the last position" if j == len(cell.positions) - 1 else f"position {cell.positions[j]}, its last"
    if not last.known:
        return f"{model} is correct on {mean} of the queries it answered; no answer at {where}."
    return f"{model} is correct on {mean} of all queries, {percent(last.value)} at {where}."


def _are(names: list[str]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {', '.join(names)}"


def _points(judgement: Judgement) -> str:
    shown = judgement.shown
    return f"{100 * shown.value:+.1f} points, {100 * shown.low:+.1f} to {100 * shown.high:+.1f}"


def _untold(judgement: Judgement) -> str:
    """A difference that is neither shown nor shown to be small, with what this many problems could show."""
    if not np.isfinite(judgement.shown.low):
        return (
            f"{100 * judgement.shown.value:+.1f} points; they differ in {judgement.differing} of {judgement.problems}"
        )
    if not np.isfinite(judgement.needed):
        return _points(judgement)
    resolves = f"{100 * judgement.resolves:.1f} points" if judgement.resolves < 1 else "no difference"
    # Else it resolves the margin, but the difference may be smaller.
    more = judgement.resolves > MARGIN
    needed = f", {100 * MARGIN:.0f} points need about {rounded(judgement.needed)} problems" if more else ""
    return f"{_points(judgement)}; this run resolves {resolves}{needed}"


def rounded(count: float) -> str:
    """Two digits: a number of problems that is itself an estimate."""
    digits = max(len(str(int(count))) - 2, 0)
    return f"{int(np.ceil(count / 10**digits)) * 10**digits:,}"
