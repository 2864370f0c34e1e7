"""The report of evaluations: any number of runs, compared cell by cell."""

from collections.abc import Mapping, Sequence

from llm_icl.config.files import file_name
from llm_icl.config.specs import counted
from llm_icl.experiments.evaluation.reports.cards import cards_of
from llm_icl.experiments.evaluation.reports.content import CellContent, Content, gather
from llm_icl.experiments.evaluation.reports.figures import (
    accuracy_by_n,
    agreement_map,
    calibration_plot,
    learning_curves,
)
from llm_icl.experiments.evaluation.reports.provenance import comparison_notes, notes_of, provenance_of
from llm_icl.experiments.evaluation.reports.samples import samples_of
from llm_icl.experiments.evaluation.reports.tables import asked_lines, scores_table, unused_lines, unused_table
from llm_icl.reports.algorithms import algorithms_notes, algorithms_table
from llm_icl.reports.charts import colours_of
from llm_icl.reports.document import Beside, Block, Bullets, Column, Fold, Paragraph, Report, Section
from llm_icl.reports.networks import networks_table, training_curves
from llm_icl.reports.values import Value
from llm_icl.runs import RunDirectory


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """Raises RequestError if a run is unfinished, or if the runs are not comparable."""
    content = gather(runs)
    colours = colours_of(content.names)
    tasks = content.tasks
    title = " and ".join(tasks) if len(tasks) < 4 else f"{len(tasks)} tasks"
    sections = [_section(content, cell, colours) for cell in content.cells]
    found = [verdict for cell in content.cells for verdict in cell.algorithms.values()]
    if samples := samples_of(runs):
        sections.append(Section("Sample prompts and replies", "samples", tuple(samples)))
    return Report(
        f"{title}: learning curves by learner",
        sections=tuple(sections),
        notes=(*notes_of(content.records), *comparison_notes(content.comparisons), *algorithms_notes(found)),
        provenance=tuple(map(provenance_of, content.records)),
        cards=cards_of(content),
    )


def _section(content: Content, of_cell: CellContent, colours: Mapping[str, str]) -> Section:
    cell = of_cell.cell
    of_task = [other for other in content.cells if other.cell.task == cell.task]
    problems = counted(cell.problems, "problem")
    blocks: list[Block] = []
    if len(of_task) > 1 and of_task[0] is of_cell:
        blocks.append(accuracy_by_n(of_task, colours))
    blocks += [
        learning_curves(of_cell, colours),
        Paragraph(f"{problems}, positions {cell.positions[0]} to {cell.positions[-1]}; accuracies in %."),
        scores_table(cell, of_cell.scores),
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
    small = [agreement_map(cell)]
    if any(answered.has_probabilities for answered in cell.learners.values()):
        small.append(calibration_plot(cell, colours))
    blocks.append(Beside(tuple(small)))
    about: dict[str, Value] = {"task": cell.task, "n": cell.n, "problems": cell.problems}
    anchor = f"{file_name(cell.task)}-n{cell.n}"
    return Section(cell.title, anchor, tuple(blocks), tuple(of_cell.sentences), about=about)
