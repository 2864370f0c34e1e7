"""The figures and tables of a report, each with a file name of its own."""

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llm_icl.reports.document import Beside, Block, Figure, Fold, Report, Section, Table
from llm_icl.reports.values import Value

# Names of other files of an export.
RESERVED = ("numbers", "example", "export")
# Characters of a file name: those that stand for themselves in LaTeX.
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_LONGEST = 80


@dataclass(frozen=True)
class Part:
    """A figure or a table, where it stands: `name` is unique in its report, `about` is what its section is about."""

    name: str
    heading: str
    about: Mapping[str, Value]
    block: Figure | Table
    folded: bool


def parts_of(report: Report) -> list[Part]:
    """All figures and tables that hold something, in reading order, those in folds too."""
    parts: list[Part] = []
    taken = set(RESERVED)
    for section, about in _sections(report.sections, {}):
        for block, folded in _blocks(section.blocks):
            key = block.name if isinstance(block, Figure) else block.key
            name = _unique(plain(f"{_place(section.anchor, about)} {key}"), taken)
            taken.add(name)
            parts.append(Part(name, section.heading, about, block, folded))
    return parts


def plain(text: str) -> str:
    """Lower-case ASCII letters, digits and hyphens: `majority-llm-n3`."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_PLAIN.sub("-", ascii_only.lower()).strip("-")[:_LONGEST].strip("-") or "part"


def _sections(
    sections: Sequence[Section], around: Mapping[str, Value]
) -> Iterator[tuple[Section, Mapping[str, Value]]]:
    """Each section with what it and those around it are about."""
    for section in sections:
        about = {**around, **section.about}
        yield section, about
        yield from _sections(section.sections, about)


def _blocks(blocks: Sequence[Block], folded: bool = False) -> Iterator[tuple[Figure | Table, bool]]:
    for block in blocks:
        if isinstance(block, Figure) or (isinstance(block, Table) and block.rows):
            yield block, folded
        elif isinstance(block, Beside):
            yield from _blocks(block.figures, folded)
        elif isinstance(block, Fold):
            yield from _blocks(block.blocks, True)


def _place(anchor: str, about: Mapping[str, Value]) -> str:
    """The task and n, or the section where there are none."""
    if "task" not in about:
        return anchor
    seed = f" s{about['seed']}" if about.get("seed") else ""
    return f"{about['task']} n{about['n']}{seed}" if "n" in about else str(about["task"])


def _unique(name: str, taken: set[str]) -> str:
    """The name itself, or with the first free number."""
    found, number = name, 2
    while found in taken:
        found, number = f"{name}-{number}", number + 1
    return found
