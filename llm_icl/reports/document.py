"""The Report as a value. The other modules of this package render it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from llm_icl.reports.values import Kind, Value

# A row of a table: its values by the keys of the columns.
Row = Mapping[str, Value]
# How firmly something is said, and all of that, most firmly first.
Badge = Literal["clear", "weak", "can't tell"]
BADGES: tuple[Badge, ...] = get_args(Badge)


@dataclass(frozen=True)
class Finding:
    badge: Badge
    text: str


@dataclass(frozen=True)
class Card:
    """The verdict on one model, network or subject `of` a run; `where` says on what. `findings` are by what each
    answers, in reading order: of a learner Algorithm (which one it runs), Distance (from the best possible) and Trust
    (what that rests on).
    """

    of: str
    where: str
    findings: Mapping[str, Finding]


@dataclass(frozen=True)
class Paragraph:
    text: str


@dataclass(frozen=True)
class Bullets:
    items: tuple[str, ...]


@dataclass(frozen=True)
class Column:
    """`name` is for readers, `key` for programs, `kind` is the format. A terminal shows `short` columns only."""

    name: str
    key: str
    kind: Kind = "text"
    short: bool = False


@dataclass(frozen=True)
class Table:
    """`key` is its name for programs. Rows whose first value is in `strong` are highlighted. `intervals` says which its
    estimates have.
    """

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    strong: frozenset[str] = frozenset()
    intervals: str = "95 % intervals"


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a series with its colour and dashes; one that is not `shown` can be added by a reader."""

    name: str
    colour: str
    dash: tuple[int, ...] = ()
    shown: bool = True


@dataclass(frozen=True)
class Figure:
    """A Vega-Lite specification with its data; `name` is unique in its section, `says` is a one-sentence text
    alternative, and `wide` is the minimum width in rem. `keys` are its legend. Readers get all series at a place
    together, or one mark alone if it is `single`.
    """

    name: str
    title: str
    specification: dict[str, Any]
    says: str
    wide: float = 0.0
    keys: tuple[Key, ...] = ()
    single: bool = False


@dataclass(frozen=True)
class Beside:
    """Small figures, side by side if there is room."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Fold:
    """Collapsible details: in the HTML page and in the data, not in the short renderings."""

    summary: str
    blocks: "tuple[Block, ...]"


@dataclass(frozen=True)
class Matrix:
    """An overview: gaps are shaded by their size, rows are chosen by texts and counts, and each opens the section with
    its anchor. `keys` are the legend of its columns.
    """

    table: Table
    opens: tuple[str, ...]
    keys: tuple[Key, ...] = ()


@dataclass(frozen=True)
class Panel:
    """What a reader explores in the page, with its data: an index as JSON, and columns of numbers or texts, packed.

    `kind` names the script that reads them: "problems" or "compare".
    """

    kind: str
    says: str
    index: Mapping[str, Any]
    columns: Mapping[str, bytes] = field(default_factory=dict)


Block = Paragraph | Bullets | Table | Figure | Beside | Fold | Matrix | Panel


@dataclass(frozen=True)
class Section:
    """`anchor` is unique in its report; `about` describes the section for programs. In a page it can be opened and
    closed, and begins closed if it is `folded`; its figures are drawn when it is opened.
    """

    heading: str
    anchor: str
    blocks: tuple[Block, ...] = ()
    verdicts: tuple[str, ...] = ()
    sections: "tuple[Section, ...]" = ()
    about: Mapping[str, Value] = field(default_factory=dict)
    folded: bool = False

    def figures(self) -> Iterator[Figure]:
        """The figures of this section itself."""
        for block in self.blocks:
            if isinstance(block, Figure):
                yield block
            elif isinstance(block, Beside):
                yield from block.figures


@dataclass(frozen=True)
class Provenance:
    """The provenance of a run: its command, and further facts."""

    command: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """`setting` is one paragraph, `cards` are the verdicts on models, `verdicts` other sentences; `notes` explain the
    numbers.
    """

    title: str
    setting: str = ""
    verdicts: tuple[str, ...] = ()
    sections: tuple[Section, ...] = ()
    notes: tuple[str, ...] = ()
    provenance: tuple[Provenance, ...] = ()
    cards: tuple[Card, ...] = ()
