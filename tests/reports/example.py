"""A small report that has every kind of block."""

from llm_icl.analysis.intervals import Estimate
from llm_icl.reports.document import (
    Beside,
    Bullets,
    Card,
    Column,
    Figure,
    Finding,
    Fold,
    Paragraph,
    Preformatted,
    Provenance,
    Report,
    Section,
    Table,
)

COLUMNS = (
    Column("learner", "learner", short=True),
    Column("mean", "mean", "share", short=True),
    Column("examples", "examples", "examples"),
)


def figure(name):
    data = {"values": [{"x": 1, "y": 2}]}
    encoding = {key: {"field": key, "type": "quantitative"} for key in ("x", "y")}
    specification = {"data": data, "mark": "point", "encoding": encoding, "width": "container", "height": 60}
    return Figure(name, f"The {name}", specification, f"{name} says that y is 2.")


def report_about(text, rows=()):
    """A report in which the text stands in every place for text."""
    rows = rows or ({"learner": text, "mean": Estimate(0.5, 0.25, 0.75), "examples": Estimate(3.0, 2.0, 5.0)},)
    table = Table("scores", text, COLUMNS, tuple(rows), frozenset({text}))
    inner = Section(text, "inner", (Bullets((text, text)),), (text,), about={"task": text, "n": 3})
    fold = Fold(text, (Preformatted(text), Table("answers", text, COLUMNS, tuple(rows))))
    blocks = (Paragraph(text), table, figure("curve"), Beside((figure("left"), figure("right"))), fold)
    section = Section(text, "outer", blocks, (text,), (inner,))
    card = Card(text, text, Finding("clear", text), Finding("weak", text), Finding("can't tell", text))
    return Report(text, text, (text,), (section,), (text,), (Provenance(text, {"fact": text}),), (card,))
