"""The card of each language model and network: one verdict over all cells, with their range; no averages of cells."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from llm_icl.analysis.comparisons import MARGIN, Judgement
from llm_icl.analysis.scores import siding
from llm_icl.config.specs import counted, span_of
from llm_icl.experiments.evaluation.reports.content import CellContent, Content
from llm_icl.experiments.evaluation.reports.verdict import rounded
from llm_icl.learners.ceilings import FUNCTION, ceiling_of, standing
from llm_icl.reports.algorithms import badge, sentence, short
from llm_icl.reports.document import Badge, Card, Finding

# Differences for which a card says how many problems would find them.
_WANTED = (0.01, 0.03, 0.05)
# With more answers than this that could not be used, a card's numbers are on the rest.
_MOST_UNUSABLE = 0.05
# Between chance and always right there is no larger difference: a run that resolves no smaller one tells nothing.
_NOTHING = 0.5
# What has been judged of one model, by cell.
_Judged = list[tuple[CellContent, Judgement]]


def cards_of(content: Content) -> tuple[Card, ...]:
    return tuple(_card(content, name) for name in content.subjects)


def _card(content: Content, name: str) -> Card:
    cells = [cell for cell in content.cells if name in cell.cell.learners]
    where = cells[0].cell.title if len(cells) == 1 else f"{len(cells)} cells (task and n)"
    findings = {
        "Algorithm": _algorithm(cells, name),
        "Distance": _distance(cells, name),
        "Trust": _trust(content, cells, name),
    }
    return Card(name, where, findings)


def _algorithm(cells: Sequence[CellContent], name: str) -> Finding:
    records = [(cell, cell.algorithms[name]) for cell in cells if name in cell.algorithms]
    if not records:
        return Finding("can't tell", "Nothing was computed about it; `llm-icl identify` finds out.")
    if len(cells) == 1:
        ((cell, record),) = records
        return Finding(badge(record), " ".join([sentence(record), *_siding(cell, name)]))
    counts = Counter(short(record) for _, record in records)
    parts = [f"{said}: {_cells(count, cells)}" for said, count in counts.most_common()]
    badges = {badge(record) for _, record in records}
    return Finding(badges.pop() if len(badges) == 1 else "weak", f"By unseen queries: {'; '.join(parts)}.")


def _siding(content: CellContent, name: str) -> list[str]:
    """Where exact Bayes and nearest neighbour answer differently: on which side it is. One label throughout may be on
    Bayes' side as often.
    """
    best = ceiling_of(content.cell.learners, content.task, content.cell.n)
    if not best or "nearest-neighbour" not in content.cell.learners:
        return []
    found = siding(content.cell, name, best, "nearest-neighbour")
    if not found.queries:
        return []
    like = found.like_first
    interval = f" [{100 * like.low:.0f}, {100 * like.high:.0f}]" if np.isfinite(like.low) else ""
    queries = counted(found.queries, "unseen query").replace("querys", "queries")
    return [f"Where {best} and nearest neighbour differ ({queries}) it is with {best} on "
            f"{100 * like.value:.0f} %{interval}, and one label throughout would be on "
            f"{100 * found.one_label:.0f} %."]  # fmt: skip


def _distance(cells: Sequence[CellContent], name: str) -> Finding:
    to_best = _judged(cells, name, lambda cell: ceiling_of(cell.cell.learners, cell.task, cell.cell.n))
    to_constant = _judged(cells, name, lambda _: "best-constant")
    sentences = []
    known = [cell for cell in cells if ceiling_of(cell.cell.learners, cell.task, cell.cell.n)]
    if to_best:
        sentences.append(f"{_capital(_said(to_best, cells, _called(to_best)))}.")
    elif known:
        sentences.append("It gave no answer that could be used.")
    if len(known) < len(cells):
        where = f"in {_cells(len(cells) - len(known), cells)}" if len(cells) > 1 else "here"
        sentences.append(f"No best possible learner is known {where}.")
    if to_constant:
        sentences.append(f"{_capital(_said(to_constant, cells, 'always guessing the better label'))}.")
    told = [judgement.outcome not in ("too few", "no data") for _, judgement in to_best]
    return Finding(_badge(told), " ".join(sentences))


def _called(to_best: _Judged) -> str:
    """The best possible, and by which name it is in the tables."""
    names = {ceiling_of(cell.cell.learners, cell.task, cell.cell.n) for cell, _ in to_best}
    standings = {standing(ceiling_of(cell.cell.learners, cell.task, cell.cell.n), cell.task, cell.cell.n)
                 for cell, _ in to_best}  # fmt: skip
    known = "the function itself" if standings == {FUNCTION} else "the best possible"
    return f"{known} ({', '.join(sorted(names))})"


def _judged(cells: Sequence[CellContent], name: str, reference: Callable[[CellContent], str]) -> _Judged:
    pairs = ((cell, (name, reference(cell))) for cell in cells)
    return [(cell, cell.judged[pair]) for cell, pair in pairs if pair in cell.judged]


def _said(judged: _Judged, cells: Sequence[CellContent], called: str) -> str:
    """How far from a reference: in one cell, or the range over cells and how many of them tell."""
    if len(cells) == 1:
        return _relation(judged[0][1], called)
    known = sorted((each for each in judged if each[1].shown.known), key=lambda each: each[1].shown.value)
    if not known:
        return f"no query was answered by both it and {called}"
    ends = [f"{_size(judgement)} ({cell.cell.title})" for cell, judgement in (known[0], known[-1])]
    said = f"against {called}, {ends[0] if len(known) == 1 else f'from {ends[0]} to {ends[1]}'}"
    few = sum(judgement.outcome == "too few" for _, judgement in judged)
    return f"{said}; too few problems to tell in {_cells(few, cells)}" if few else said


def _relation(judgement: Judgement, called: str) -> str:
    if judgement.outcome == "no data":
        return f"no query was answered by both it and {called}"
    if judgement.outcome == "identical":
        return f"the same answers as {called}"
    if judgement.outcome == "equivalent":
        return f"within {100 * MARGIN:.0f} points of {called} ({_signed(judgement)})"
    return f"{_size(judgement)} {called}{': too few problems to tell' if judgement.outcome == 'too few' else ''}"


def _signed(judgement: Judgement) -> str:
    shown = judgement.shown
    interval = f" [{100 * shown.low:+.1f}, {100 * shown.high:+.1f}]" if np.isfinite(shown.low) else ""
    return f"{100 * shown.value:+.1f} points{interval}"


def _size(judgement: Judgement) -> str:
    """How far above or below."""
    shown = judgement.shown
    if judgement.outcome == "identical":
        return "the same answers"
    size = f"{100 * abs(shown.value):.1f} points"
    if np.isfinite(shown.low):
        low, high = sorted((-shown.low, -shown.high)) if shown.value < 0 else (shown.low, shown.high)
        size += f" [{_one_digit(low)}, {_one_digit(high)}]"
    return f"{size} {'below' if shown.value < 0 else 'above'}"


def _one_digit(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"  # no negative zero


def _trust(content: Content, cells: Sequence[CellContent], name: str) -> Finding:
    problems = span_of([_asked_problems(cell, name) for cell in cells])
    unseen = span_of([_unseen(cell, name) for cell in cells])
    each = " in each cell" if len(cells) > 1 else ""
    kind = "problem" if problems == "1" else "problems"
    answers = "answer" if unseen == "1" else "answers"
    sentences = [f"{problems} {kind} and {unseen} {answers} to unseen queries{each}."]
    power, resolves = _power(cells, name)
    control, used = _control(cells, name)
    unusable, usable = _unusable(cells, name)
    sentences += [*power, *control, *unusable, *_asked(content, name)]
    if content.comparisons:
        sentences.append(
            f"{counted(content.comparisons, 'comparison')} of evaluations in this report, corrected together (Holm), "
            "and so are the intervals of these distances; a table's are not unless it says so."
        )
    firm = _badge([resolves <= MARGIN, used, usable]) if resolves < _NOTHING else "can't tell"
    return Finding(firm, " ".join(sentences))


def _asked_problems(content: CellContent, name: str) -> int:
    return int(content.cell.learners[name].asked.any(axis=1).sum())


def _unseen(content: CellContent, name: str) -> int:
    cell = content.cell
    return int((~cell.seen & ~np.isnan(cell.learners[name].prediction)).sum())


def _power(cells: Sequence[CellContent], name: str) -> tuple[list[str], float]:
    """What the difference from the best possible, or from the best constant, needs; the worst cell counts.
    NaN if it is unknown.
    """
    judged = _judged(cells, name, lambda cell: ceiling_of(cell.cell.learners, cell.task, cell.cell.n))
    of = "the gap to the best possible" if judged else "the difference from the best constant"
    judged = judged or _judged(cells, name, lambda _: "best-constant")
    known = [(cell, each) for cell, each in judged if np.isfinite(each.resolves)]
    if not known:
        alike = any(each.differing == each.problems for _, each in judged)
        why = "all problems differ alike" if alike else "too few problems differ" if judged else "nothing was compared"
        return [f"How small a difference this run resolves is unknown: {why}."], np.nan
    cell, worst = max(known, key=lambda entry: entry[1].resolves)
    resolves = f"{100 * worst.resolves:.1f} points" if worst.resolves < 1 else "no difference"
    where = f" (worst: {cell.cell.title})" if len(cells) > 1 else ""
    needs = ", ".join(f"{100 * size:.0f} {'point' if size == 0.01 else 'points'} {rounded(worst.needed_for(size))}"
                      for size in _WANTED if np.isfinite(worst.needed_for(size)))  # fmt: skip
    needed = f"; problems needed: {needs}" if needs else ""
    return [f"Of {of} it resolves {resolves}{where}{needed}."], worst.resolves


def _control(cells: Sequence[CellContent], name: str) -> tuple[list[str], bool]:
    """Whether shuffled labels make it worse, on problems that have two labels."""
    judged = _judged(cells, name, lambda cell: cell.cell.control_of(name))
    if not judged:
        return [], True
    uses = sum(judgement.outcome == "above" for _, judgement in judged)
    where = "it uses the labels" if len(cells) == 1 else f"it uses the labels in {_cells(uses, cells)}"
    if not uses:
        where = "not shown that it uses the labels"
    constant = sum(int(cell.cell.learners[name].one_label.sum()) for cell, _ in judged)
    asked = sum(_asked_problems(cell, name) for cell, _ in judged)
    left = f", without {constant} of {counted(asked, 'problem')}, which have one label" if constant else ""
    said = _said(judged, cells, "itself with shuffled labels")
    return [f"Shuffled labels{left}: {said}; {where}."], uses == len(judged)


def _unusable(cells: Sequence[CellContent], name: str) -> tuple[list[str], bool]:
    """The share of the questions without a usable answer in the worst cell, and why."""
    shares = [(sum(cell.cell.learners[name].statuses.values()), cell) for cell in cells]
    share, worst = max(shares, key=lambda entry: entry[0])
    if not share:
        return ["All replies were answers."], True
    where = f" (most: {worst.cell.title})" if len(cells) > 1 else ""
    why = " or ".join(worst.cell.learners[name].statuses)
    return [f"{100 * share:.1f} % of the questions have no usable answer: {why}{where}."], share <= _MOST_UNUSABLE


def _asked(content: Content, name: str) -> list[str]:
    modes = [mode for run, record in content.records.items() for mode in record["modes"]
             if content.called.of(mode["learner"], mode["prompt"], run) == name]  # fmt: skip
    if not modes:
        return []
    names, prompts = (" or ".join(dict.fromkeys(mode[key] for mode in modes)) for key in ("mode", "prompt"))
    return [f"Asked by mode {names} with prompt {prompts}."]


def _badge(told: Sequence[bool]) -> Badge:
    return "clear" if told and all(told) else "weak" if any(told) else "can't tell"


def _cells(count: int, cells: Sequence[CellContent]) -> str:
    return f"{count} of {counted(len(cells), 'cell')}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
