"""The Report: what a reader gets, as a value. How it is laid out is for the renderings beside this file."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_icl.reports.values import Kind, Value

# A row of a table: its values by the keys of the columns.
Row = Mapping[str, Value]


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Preformatted:
    """Text as it is, such as a prompt with its reply."""

    text: str


@dataclass(frozen=True)
class Column:
    """`name` is for readers, `key` for programs, `kind` says how values are written. A terminal shows short columns."""

    name: str
    key: str
    kind: Kind = "text"
    short: bool = False


@dataclass(frozen=True)
class Table:
    """`key` is its name for programs. The rows whose first value is in `strong` are what the reader came for."""

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    strong: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Figure:
    """A Vega-Lite specification with its data; `name` tells it from the others of its section, `says` is one sentence
    for those who do not see it, and `wide` the least width in rem that it needs.
    """

    name: str
    title: str
    specification: dict[str, Any]
    says: str
    wide: float = 0.0


@dataclass(frozen=True)
class Beside:
    """Small figures, next to one another where there is room."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Fold:
    """Details that are read on demand. They are in the page and in the data, not in the short renderings."""

    summary: str
    blocks: "tuple[Block, ...]"


Block = Paragraph | Bullets | Preformatted | Table | Figure | Beside | Fold


@dataclass(frozen=True)
class Section:
    """`anchor` is unique in its report; `about` says for programs what the section is about."""

    heading: str
    anchor: str
    blocks: tuple[Block, ...] = ()
    verdicts: tuple[str, ...] = ()
    sections: "tuple[Section, ...]" = ()
    about: Mapping[str, Value] = field(default_factory=dict)

    def figures(self) -> Iterator[Figure]:
        """Those of this section itself."""
        for block in self.blocks:
            if isinstance(block, Figure):
                yield block
            elif isinstance(block, Beside):
                yield from block.figures


@dataclass(frozen=True)
class Provenance:
    """How a run was made: its command, and facts that a reader may want to check."""

    command: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """`setting` is one paragraph, `verdicts` are sentences, `notes` say how to read the numbers."""

    title: str
    setting: str = ""
    verdicts: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: tuple[Provenance, ...] = ()

    def all_sections(self) -> Iterator[Section]:
        """Also those within others, in reading order."""
        yield from _within(self.sections)


def _within(sections: Sequence[Section]) -> Iterator[Section]:
    for section in sections:
        yield section
        yield from _within(section.sections)
