"""The report of evaluations: any number of runs, compared cell by cell."""

from collections.abc import Mapping, Sequence

from llm_icl.config.files import file_name
from llm_icl.config.specs import counted
from llm_icl.experiments.evaluation.reports.browsing import problems_panel
from llm_icl.experiments.evaluation.reports.cards import cards_of
from llm_icl.experiments.evaluation.reports.content import CellContent, Content, gather
from llm_icl.experiments.evaluation.reports.figures import accuracy_by_n, calibration_plot, learning_curves
from llm_icl.experiments.evaluation.reports.notes import comparison_notes, notes_of
from llm_icl.experiments.evaluation.reports.overview import overview
from llm_icl.experiments.evaluation.reports.pairs import compare_panel
from llm_icl.experiments.evaluation.reports.tables import asked_lines, ranges, scores_table, unused_lines, unused_table
from llm_icl.experiments.provenance import provenance_of
from llm_icl.reports.algorithms import algorithms_notes, algorithms_table
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Beside, Block, Bullets, Column, Fold, Paragraph, Report, Section
from llm_icl.reports.networks import networks_table, training_curves
from llm_icl.reports.values import Value
from llm_icl.runs import RunDirectory


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """Raises RequestError if a run is unfinished, or if the runs are not comparable."""
    content = gather(runs)
    colours = colours_of(content.names, content.subjects)
    tasks = content.tasks
    title = " and ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    found = [verdict for cell in content.cells for verdict in cell.algorithms.values()]
    return Report(
        f"{title}: learning curves by learner",
        sections=(*_first(content, colours), *(_section(content, cell, colours) for cell in content.cells),
                  *_explored(content, runs)),
        notes=(*notes_of(content), *comparison_notes(content.comparisons), *algorithms_notes(found)),
        provenance=tuple(map(provenance_of, content.records.values())),
        cards=cards_of(content),
    )  # fmt: skip


def _first(content: Content, colours: Mapping[str, str]) -> list[Section]:
    """What several cells show together."""
    if len(content.cells) == 1:
        return []
    blocks: list[Block] = [overview(content, tuple(_anchor(cell) for cell in content.cells), colours)]
    by_task = [[cell for cell in content.cells if cell.cell.task == task] for task in content.tasks]
    several = [cells for cells in by_task if len(cells) > 1]
    if several:
        figures = tuple(accuracy_by_n(cells, colours, alone=len(several) == 1) for cells in several)
        blocks.append(Paragraph("Mean accuracy against n, with 95 % intervals; grey: what it is compared with."))
        blocks.append(Beside(figures) if len(figures) > 1 else figures[0])
    return [Section("Overview", "overview", tuple(blocks))]


def _section(content: Content, of_cell: CellContent, colours: Mapping[str, str]) -> Section:
    cell = of_cell.cell
    problems = counted(cell.problems, "problem")
    blocks: list[Block] = [
        learning_curves(of_cell, colours),
        Paragraph(f"{problems}, positions {ranges(cell.positions)}; accuracies in %."),
        scores_table(cell, of_cell.scores, of_cell.algorithms),
    ]
    if asked := asked_lines(cell):
        blocks.append(Bullets(tuple(asked)))
    if lines := unused_lines(of_cell.scores):
        table = unused_table(of_cell.scores)
        blocks += [Bullets(tuple(lines)), Fold(table.caption, (table,))]
    if of_cell.algorithms:
        blocks.append(algorithms_table(Column("learner", "learner"), of_cell.algorithms.items()))
    if of_cell.networks:
        training = training_curves(of_cell.networks, cell.task, content.names, colours)
        blocks += [training] if training else []
        blocks.append(networks_table(of_cell.networks))
    if any(answered.has_probabilities for answered in cell.learners.values()):
        blocks.append(calibration_plot(cell, colours))
    about: dict[str, Value] = {"task": cell.task, "n": cell.n, "problems": cell.problems}
    folded = len(content.cells) > 1
    return Section(
        cell.title, _anchor(of_cell), tuple(blocks), tuple(of_cell.sentences), about=about, folded=folded
    )  # fmt: skip


def _explored(content: Content, runs: Sequence[RunDirectory]) -> list[Section]:
    """What a reader explores: pairs of learners, and all answers."""
    pairs = compare_panel(content)
    compared = [Section("Compare two", "compare", (pairs,), folded=True)] if pairs else []
    return [
        *compared,
        Section("Problems, prompts and replies", "problems", (problems_panel(content, runs),), folded=True),
    ]


def _anchor(content: CellContent) -> str:
    return f"{file_name(content.cell.task)}-n{content.cell.n}"
