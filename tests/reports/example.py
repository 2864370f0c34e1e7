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
    Matrix,
    Panel,
    Paragraph,
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


def matrix(text):
    columns = (Column("task", "task"), Column(text, "gap", "points"))
    gaps = (Estimate(0.25, 0.125, 0.375), Estimate(0.03, -0.1, 0.2))
    rows = tuple({"task": text, "gap": gap} for gap in gaps)
    return Matrix(Table("overview", text, columns, rows), ("outer", "outer"))


def report_about(text, rows=()):
    """A report in which the text stands in every place for text."""
    rows = rows or ({"learner": text, "mean": Estimate(0.5, 0.25, 0.75), "examples": Estimate(3.0, 2.0, 5.0)},)
    table = Table("scores", text, COLUMNS, tuple(rows), frozenset({text}))
    inner = Section(text, "inner", (Bullets((text, text)),), (text,), about={"task": text, "n": 3})
    fold = Fold(text, (Table("answers", text, COLUMNS, tuple(rows)),))
    blocks = (Paragraph(text), table, figure("curve"), Beside((figure("left"), figure("right"))), fold, matrix(text))
    section = Section(text, "outer", blocks, (text,), (inner,))
    panel = Panel("problems", text, {"text": text}, {"texts": text.encode(errors="replace")})
    closed = Section(text, "closed", (figure("inside"), panel), folded=True)
    card = Card(
        text, text, {"A": Finding("clear", text), "B": Finding("weak", text), "Trust": Finding("can't tell", text)}
    )
    return Report(text, text, (text,), (section, closed), (text,), (Provenance(text, {"fact": text}),), (card,))
