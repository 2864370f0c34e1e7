"""The figures and tables of a report, each with a file name of its own."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from llm_icl.reports.document import Beside, Block, Figure, Fold, Matrix, Report, Section, Table
from llm_icl.reports.values import Value

# Names of other files of an export.
RESERVED = ("numbers", "example", "export")
# Characters of a file name: those that stand for themselves in LaTeX.
_NOT_PLAIN = re.compile(r"[^a-z0-9]+")
_LONGEST = 80
# What makes anchors of several reports distinct: their order.
_NUMBERED = re.compile(r"^(part-\d+-)+")
# Hexadecimal digits as letters, since the names of macros have no others.
_LETTERS = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


@dataclass(frozen=True)
class Part:
    """A figure or a table, where it stands: `name` is unique in its report, `about` is what its section is about."""

    name: str
    heading: str
    about: Mapping[str, Value]
    block: Figure | Table
    folded: bool

    @property
    def key(self) -> str:
        return _key(self.block)


def parts_of(report: Report) -> list[Part]:
    """All figures and tables that hold something, in reading order, those in folds too."""
    found = [
        (where, Part(plain(f"{_place(section.anchor, about)} {_key(block)}"), section.heading, about, block, folded))
        for section, about, where in _sections(report.sections, {})
        for block, folded in _blocks(section.blocks)
    ]
    descriptions = (f"{where} {dict(part.about)} {_title(part.block)}" for where, part in found)
    choices = [
        (part.name, *_of_one(part), f"{part.name}-{identity}")
        for (_, part), identity in zip(found, identities(descriptions), strict=True)
    ]
    return [replace(part, name=name) for name, (_, part) in zip(distinct(choices, RESERVED), found, strict=True)]


def distinct(choices: Sequence[Sequence[str]], taken: Sequence[str] = ()) -> list[str]:
    """For each its first name that no other one has. All that share a name take their next one, so that what a name
    stands for does not depend on the order: a paper would have a wrong number after the next export.
    """
    places = [0] * len(choices)
    while True:
        names = [some[place] for some, place in zip(choices, places, strict=True)]
        counts = Counter((*names, *taken))
        shared = [i for i, name in enumerate(names) if counts[name] > 1 and places[i] + 1 < len(choices[i])]
        if not shared:
            return names
        for i in shared:
            places[i] += 1


def identities(descriptions: Iterable[str]) -> list[str]:
    """A few letters from each description; those of the same description count up."""
    before: Counter[str] = Counter()
    found = []
    for description in descriptions:
        hashed = hashlib.sha256(f"{before[description]} {description}".encode(errors="replace")).hexdigest()[:8]
        before[description] += 1
        found.append(hashed.translate(_LETTERS))
    return found


def plain(text: str) -> str:
    """Lower-case ASCII letters, digits and hyphens: `majority-llm-n3`."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return _NOT_PLAIN.sub("-", ascii_only.lower()).strip("-")[:_LONGEST].strip("-") or "part"


def _sections(
    sections: Sequence[Section], around: Mapping[str, Value], above: str = ""
) -> Iterator[tuple[Section, Mapping[str, Value], str]]:
    """Each section with what it and those around it are about, and their headings."""
    for section in sections:
        about, where = {**around, **section.about}, f"{above}/{section.heading}"
        yield section, about, where
        yield from _sections(section.sections, about, where)


def _blocks(blocks: Sequence[Block], folded: bool = False) -> Iterator[tuple[Figure | Table, bool]]:
    for block in blocks:
        if isinstance(block, Figure) or (isinstance(block, Table) and block.rows):
            yield block, folded
        elif isinstance(block, Beside):
            yield from _blocks(block.figures, folded)
        elif isinstance(block, Matrix):
            yield from _blocks((block.table,), folded)
        elif isinstance(block, Fold):
            yield from _blocks(block.blocks, True)


def _place(anchor: str, about: Mapping[str, Value]) -> str:
    """The task and n, or the section where there are none."""
    if "task" not in about:
        return _NUMBERED.sub("", anchor)
    seed = f" s{about['seed']}" if about.get("seed") else ""
    return f"{about['task']} n{about['n']}{seed}" if "n" in about else str(about["task"])


def _of_one(part: Part) -> list[str]:
    """The name of a table whose rows are all of one subject."""
    if not isinstance(part.block, Table):
        return []
    first = part.block.columns[0]
    subjects = {row.get(first.key) for row in part.block.rows} if first.kind == "text" else set()
    return [plain(f"{part.name} {subjects.pop()}")] if len(subjects) == 1 else []


def _key(block: Figure | Table) -> str:
    return block.name if isinstance(block, Figure) else block.key


def _title(block: Figure | Table) -> str:
    return block.title if isinstance(block, Figure) else block.caption
