"""Several reports as one."""

from collections.abc import Sequence
from dataclasses import replace

from llm_icl.reports.document import Block, Matrix, Paragraph, Report, Section


def joined(reports: Sequence[Report], title: str = "") -> Report:
    """A folded section for each report, containing its sections; common notes appear once. Without a title, with all of
    theirs. A single report is unchanged.
    """
    if len(reports) == 1:
        return reports[0]
    notes = dict.fromkeys(note for report in reports for note in report.notes)
    provenance = [made for report in reports for made in report.provenance]
    return Report(
        title or "; ".join(report.title for report in reports),
        cards=tuple(card for report in reports for card in report.cards),
        sections=tuple(_section(report, f"part-{i}") for i, report in enumerate(reports, 1)),
        notes=tuple(notes),
        provenance=tuple(made for i, made in enumerate(provenance) if made not in provenance[:i]),
    )


def _section(report: Report, anchor: str) -> Section:
    setting: tuple[Block, ...] = (Paragraph(report.setting),) if report.setting else ()
    inner = tuple(_under(section, anchor) for section in report.sections)
    return Section(report.title, anchor, setting, report.verdicts, inner, folded=True)


def _under(section: Section, anchor: str) -> Section:
    """Make the anchors of several reports distinct."""
    inner = tuple(_under(part, anchor) for part in section.sections)
    blocks = tuple(_opening_under(block, anchor) for block in section.blocks)
    return replace(section, anchor=f"{anchor}-{section.anchor}", blocks=blocks, sections=inner)


def _opening_under(block: Block, anchor: str) -> Block:
    """A matrix that opens the sections under an anchor; other blocks are unchanged."""
    if not isinstance(block, Matrix):
        return block
    return replace(block, opens=tuple(f"{anchor}-{opened}" for opened in block.opens))
