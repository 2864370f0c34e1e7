"""The report of identifications: the verdicts first, then the numbers behind them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from llm_icl.analysis.identification.mixtures import CONSTANTS
from llm_icl.analysis.identification.verdict import REJECTED
from llm_icl.config.files import file_name
from llm_icl.experiments.identification.browsing import problems_panel
from llm_icl.experiments.identification.cards import cards_of, trust
from llm_icl.experiments.identification.figures import (
    identifiability_map,
    scores_by_context,
    shares_and_flexible,
    weights_by_examples,
)
from llm_icl.experiments.identification.findings import Cell, Found
from llm_icl.experiments.identification.gathering import gather
from llm_icl.experiments.identification.sentences import sentence
from llm_icl.experiments.provenance import provenance_of
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Block, Bullets, Column, Fold, Matrix, Report, Row, Section, Table
from llm_icl.reports.values import Value
from llm_icl.runs import RunDirectory

_CELL = Column("task and n", "cell", short=True)
_VERDICTS = (
    Column("subject", "subject", short=True),
    Column("verdict", "verdict", short=True),
    Column("answers are", "answers"),
    Column("answered", "answered", "share"),
    Column("explained share", "explained", "share", short=True),
    Column("expected of it", "expected", "share"),
    Column("flexible model adds, nats", "flexible", "number"),
    Column("p, what is left", "left", "p"),
    Column("about", "about"),
    Column("regret", "regret", "share"),
    Column("explained regret", "regret_explained", "share"),
)
_CANDIDATES = (
    Column("subject", "subject"),
    Column("candidate", "candidate"),
    Column("variant", "variant"),
    Column("score, nats", "score", "number"),
    Column("behind the best", "behind", "number"),
    Column("explained share", "explained", "share"),
    Column("p, beaten", "p_value", "p"),
    Column("p, what is left", "left", "p"),
)
_WEIGHTS = (
    Column("subject", "subject"),
    Column("mixture over", "over"),
    Column("component", "component"),
    Column("examples", "examples", "count"),
    Column("weight", "weight", "share"),
)
_NOTES = (
    "Explained share: of the regularity of the subject's own answers, beyond the best constant for each number of "
    "examples, what the model of the verdict predicts in problems that it was not fitted to. 'Expected of it': the "
    "share that a subject with exactly this algorithm and this noise would show.",
    "Labels that were asked for once do not tell noise from what is unexplained: their explained share is a lower "
    "bound.",
    "A subject follows a candidate up to a link: by its label with two rates, or by its probability with a bias, a "
    "temperature and lapses, for each number of examples.",
    "What is left: whether the deviations from the verdict's model follow anything, by simulation. A candidate is "
    "rejected below p = .02, and beaten below .01 (Holm over all candidates).",
    "Flexible model: what kernel regression on the query, the examples, distances and all candidates adds to the log "
    "score per answer, held out.",
    "Regret: the accuracy in expectation that is lost per answer to exact Bayes from the labels; explained: the share "
    "of it that the verdict's model loses too.",
    "Intervals are 95 %, with the problem as the unit.",
)


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """All runs' subjects, those on the same probes side by side. Raises RequestError if a run cannot be read."""
    found = gather(runs)
    cells = _merged([cell for each in found for cell in each.named()])
    panel = problems_panel(found)
    answers = [Section("Problems, prompts and replies", "problems", (panel,), folded=True)] if panel else []
    records = [run.record for run in runs]
    return Report(
        _title(cells),
        _setting(cells),
        sections=(*_overview(cells), *(_section(cell, alone=len(cells) == 1) for cell in cells), *answers),
        notes=(*_NOTES, *_modes(records)),
        provenance=tuple(map(provenance_of, records)),
        cards=cards_of(cells),
    )


def _merged(cells: Sequence[Cell]) -> list[Cell]:
    """Cells on the same probes as one; what a subject is found in twice counts once."""
    subjects: dict[Cell, dict[str, Found]] = {}
    for cell in cells:
        known = subjects.setdefault(replace(cell, found=()), {})
        for each in cell.found:
            known.setdefault(each.subject, each)
    merged = [replace(cell, found=tuple(found.values())) for cell, found in subjects.items()]
    alike: dict[str, list[Cell]] = {}
    for cell in merged:
        alike.setdefault(cell.title, []).append(cell)
    return [
        cell if len(alike[cell.title]) == 1 else replace(cell, design=f"design {alike[cell.title].index(cell) + 1}")
        for cell in merged
    ]


def _title(cells: Sequence[Cell]) -> str:
    tasks = list(dict.fromkeys(cell.task for cell in cells))
    return f"Which algorithm? {' and '.join(tasks) if len(tasks) < 4 else f'{len(tasks)} tasks'}"


def _setting(cells: Sequence[Cell]) -> str:
    designs = dict.fromkeys((cell.contexts, cell.examples, cell.queries) for cell in cells)
    return "; ".join(
        f"{contexts} problems, {queries} searched queries behind {', '.join(map(str, examples))} examples of each"
        for contexts, examples, queries in designs
    )


def _overview(cells: Sequence[Cell]) -> list[Section]:
    """The verdicts of all cells together: a column for each subject, or a row, if most of that table would be empty."""
    if len(cells) == 1:
        return []
    subjects = dict.fromkeys(found.subject for cell in cells for found in cell.found)
    sparse = 2 * sum(len(cell.found) for cell in cells) < len(subjects) * len(cells)
    matrix = _listed(cells) if sparse else _by_subject(cells, list(subjects))
    return [Section("Overview", "overview", (matrix,))]


def _listed(cells: Sequence[Cell]) -> Matrix:
    rows: list[Row] = [{"cell": cell.title, **_verdict_row(found)} for cell in cells for found in cell.found]
    columns = (_CELL, *(column for column in _VERDICTS if column.short))
    opens = tuple(_anchor(cell) for cell in cells for _ in cell.found)
    return Matrix(Table("listed", "Verdicts", columns, tuple(rows)), opens)


def _by_subject(cells: Sequence[Cell], subjects: Sequence[str]) -> Matrix:
    columns = [_CELL]
    for name in subjects:
        columns += [Column(name, f"verdict, {name}", short=True), Column("explained share", _share_of(name), "share")]
    rows: list[Row] = []
    for cell in cells:
        row: dict[str, Value] = {"cell": cell.title}
        for found in cell.found:
            of = _verdict_row(found)
            row |= {f"verdict, {found.subject}": of["verdict"], _share_of(found.subject): of.get("explained")}
        rows.append(row)
    return Matrix(Table("overview", "Verdicts", tuple(columns), tuple(rows)), tuple(map(_anchor, cells)))


def _section(cell: Cell, alone: bool) -> Section:
    """The numbers behind a cell's verdicts; and beside other cells what the cards say of one that is alone."""
    colours = colours_of(cell.identifiability.names)
    known = [found for found in cell.found if found.identification]
    blocks: list[Block] = [_verdicts(cell)]
    if len(known) > 1:
        blocks.append(_side_by_side(known))
    if weighted := [found for found in known if _mixture_rows(found)]:
        blocks += [weights_by_examples(found, colours) for found in weighted]
        table = Table("weights", "Weights of all mixtures", _WEIGHTS, tuple(_all_mixture_rows(weighted)))
        blocks.append(Fold(table.caption, (table,)))
    for found in known:
        assert found.identification is not None
        table = Table("candidates", f"{found.subject}: each candidate alone", _CANDIDATES, tuple(_alone(found)))
        blocks += [scores_by_context(found, colours), Fold(table.caption, (table,))]
    if known:
        blocks.append(shares_and_flexible(known))
    blocks.append(identifiability_map(cell))
    few = f"With 20 % of coin flips {cell.contexts} problems would not tell apart"
    if untold := cell.identifiability.untold(cell.contexts):
        blocks.append(Bullets(tuple(f"{few}: {these}." for these in untold)))
    about: dict[str, Value] = {"task": cell.task, "n": cell.n, "seed": cell.seed, "problems": cell.contexts}
    if alone:
        return Section(cell.title, _anchor(cell), tuple(blocks), about=about)
    rests = tuple(f"{found.subject}: {trust(cell, found).text}" for found in cell.found)
    blocks.insert(1, Fold("What the verdicts rest on", (Bullets(rests),)))
    said = tuple(f"{found.subject}: {sentence(found)}" for found in cell.found)
    return Section(cell.title, _anchor(cell), tuple(blocks), said, about=about, folded=True)


def _anchor(cell: Cell) -> str:
    return file_name(f"{cell.task}-n{cell.n}-s{cell.seed}-{cell.source}{cell.design}")


def _verdicts(cell: Cell) -> Table:
    return Table("verdicts", "Verdicts", _VERDICTS, tuple(map(_verdict_row, cell.found)))


def _verdict_row(found: Found) -> Row:
    row: dict[str, Any] = {
        "subject": found.subject,
        "answered": found.answered,
        "answers": "probabilities" if found.probabilities else "labels",
        "verdict": "too few answers",
    }
    one = found.identification
    if one is None:
        return row
    return row | {
        "verdict": str(one),
        "explained": one.share,
        "expected": one.expected_share,
        "flexible": one.flexible,
        "left": one.left.p_value,
        "about": one.left.about if one.left.p_value < REJECTED else "",
        "regret": one.regret,
        "regret_explained": one.regret_explained,
    }


def _side_by_side(known: Sequence[Found]) -> Table:
    """The share that each candidate alone explains of each subject, on the same probes."""
    columns = [Column("candidate", "candidate")]
    columns += [Column(found.subject, _share_of(found.subject), "share") for found in known]
    names = [each.name for found in known[:1] if found.identification for each in found.identification.candidates]
    rows: list[Row] = []
    for name in names:
        row: dict[str, Any] = {"candidate": name}
        for found in known:
            assert found.identification is not None
            row[_share_of(found.subject)] = next(
                each.share for each in found.identification.candidates if each.name == name
            )
        rows.append(row)
    return Table("side_by_side", "Share explained by each candidate alone", tuple(columns), tuple(rows))


def _share_of(subject: str) -> str:
    return f"explained, {subject}"


def _alone(found: Found) -> list[Row]:
    assert found.identification is not None
    return [
        {
            "subject": found.subject,
            "candidate": each.name,
            "variant": each.variant if each.variant != each.name else "",
            "score": each.score,
            "behind": each.behind,
            "explained": each.share,
            "p_value": each.p_value,
            "left": each.left.p_value if each.left else None,
        }
        for each in found.identification.candidates
    ]


def _all_mixture_rows(known: Sequence[Found]) -> list[Row]:
    return [row for found in known for row in _mixture_rows(found)]


def _mixture_rows(found: Found) -> list[Row]:
    one = found.identification
    if one is None:
        return []
    return [
        {"subject": found.subject, "over": mixed.over, "component": name, "examples": m, "weight": weight}
        for mixed in one.mixtures
        for m, weights in zip(one.sizes, mixed.by_size, strict=True)
        for name, weight in zip((*mixed.names, *CONSTANTS), weights, strict=True)
    ]


def _modes(records: Sequence[Mapping[str, Any]]) -> list[str]:
    asked: dict[str, list[str]] = {}
    for record in records:
        for mode in record.get("modes", []):
            because = f" ({'; '.join(mode['because'])})" if mode["because"] else ""
            how = f"{mode['learner']} with prompt {mode['prompt']}: mode {mode['mode']}{because} on "
            asked.setdefault(how, []).append(mode["cell"])
    return [f"{how}{'; '.join(dict.fromkeys(cells))}." for how, cells in asked.items()]
