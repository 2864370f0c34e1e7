"""The report of comparisons of in-context learning with finetuning."""

from collections.abc import Sequence
from typing import Any

from llm_icl.config.files import file_name
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.comparison import PUBLISHED_WAY, UNTRAINED, Compared
from llm_icl.experiments.finetuning.joint_report import joint_report
from llm_icl.experiments.finetuning.published import MODELS, PUBLISHED
from llm_icl.experiments.finetuning.run import read
from llm_icl.experiments.finetuning.setting import NOTES, losses, rates, setting
from llm_icl.reports.charts import coloured, colours_of, figure
from llm_icl.reports.document import Column, Figure, Provenance, Report, Row, Section, Table
from llm_icl.runs import RunDirectory

# The rows of the table of measures, and whose values per layer are drawn.
_MEASURES = (
    "SimAOU", "SimAOU, random change", "SimAOU at a label", "SimAM", "SimAM before finetuning", "SimAM of changes",
    "SimAM of changes, after softmax", "SimAM of changes, after softmax, random change", "Kendall",
    "Kendall, not finetuned", "Kendall, as published", "Kendall, random", "top tokens", "top tokens, not finetuned",
    "top demonstrations", "top demonstrations, not finetuned",
)  # fmt: skip
_DUAL_MEASURES = ("dual form, gap", "dual form, cosine of softmax's change", "dual form, distance of softmax")
_DRAWN = ("SimAOU", "SimAM of changes, after softmax", "Kendall", _DUAL_MEASURES[1])
_DUAL = (
    Column("finetuned by", "way"),
    Column("gap (rounding only)", "gap", "rounding"),
    Column("cosine of softmax's change", "cosine", "number"),
    Column("distance of softmax", "distance", "number"),
)


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """One comparison in full, or several in joint tables. Raises RequestError where one of them is not finished, or
    two are of the same model and texts.
    """
    found = [(read(run), run.record) for run in runs]
    return comparison_report(*found[0]) if len(found) == 1 else joint_report(found)


def comparison_report(found: Compared, record: dict[str, Any]) -> Report:
    request = record["request"]
    tables = (_accuracy_table(found, record), _measures_table(found, record), _dual_table(found))
    sections = (
        Section("Accuracy", "accuracy", tables[:1]),
        Section("Similarity", "similarity", tables[1:]),
        Section("Layer by layer", "layers", tuple(_by_layer(found, name) for name in _DRAWN)),
    )
    return Report(
        f"In-context learning against finetuning: {request['model']['name']} on {request['dataset']['name']}",
        setting(found, record),
        tuple(scores.verdict(found)),
        sections,
        NOTES,
        (Provenance(record["command"]),),
    )


def _accuracy_table(found: Compared, record: dict[str, Any]) -> Table:
    """Accuracies and Rec2FTP by way of finetuning, with the published ones."""
    columns = (
        Column("finetuned by", "way", short=True),
        *(Column(words, key, "share", True) for key, words in scores.SETTINGS.items()),
        Column("Rec2FTP", "rec2ftp", "share", True),
        Column("its null", "rec2ftp_null", "share", True),
        Column("loss", "loss", short=True),
        Column("learning rate", "rate", short=True),
    )
    rows: list[Row] = []
    for way in scores.ways(found):
        recovered, null = scores.recovery(found, way)
        right = {key: scores.accuracy(found, way, key) for key in scores.SETTINGS}
        learned = {"loss": losses(found, way), "rate": rates(found, way)}
        rows.append({"way": way, **right, "rec2ftp": recovered, "rec2ftp_null": null, **learned})
    for model, values in PUBLISHED.get(record["request"]["dataset"]["name"], {}).items():
        known = {key: values[key] / 100 for key in scores.SETTINGS}
        rows.append({"way": f"published, {model}", **known, "rec2ftp": values["Rec2FTP"] / 100})
    return Table("accuracies", "Accuracy, in percent", columns, tuple(rows), frozenset({PUBLISHED_WAY}))


def _measures_table(found: Compared, record: dict[str, Any]) -> Table:
    """Each measure, by way of finetuning, with the published values; a terminal shows the published way."""
    published = PUBLISHED.get(record["request"]["dataset"]["name"], {})
    columns = (
        Column("measure", "measure", short=True),
        *(Column(way, way, "number", i == 0) for i, way in enumerate(scores.ways(found))),
        *(Column(f"published, {model}", f"published, {model}", "number") for model in MODELS if published),
    )
    rows: list[Row] = []
    for name in _MEASURES:
        measured = {way: scores.measure(found, way, name) for way in scores.ways(found)}
        known = {f"published, {model}": values.get(name) for model, values in published.items()}
        rows.append({"measure": name, **measured, **known})
    return Table("measures", "Similarity by way of finetuning", columns, tuple(rows))


def _dual_table(found: Compared) -> Table:
    """How far linear attention is the same as a step of gradient descent, and softmax attention as linear."""
    gap, cosine, distance = _DUAL_MEASURES
    rows: list[Row] = []
    for way in scores.ways(found):
        if (measured := scores.measure(found, way, gap)).known:
            own = {"cosine": scores.measure(found, way, cosine), "distance": scores.measure(found, way, distance)}
            rows.append({"way": way, "gap": measured.value, **own})
    return Table("dual_form", "Dual form", _DUAL, tuple(rows))


def _by_layer(found: Compared, name: str) -> Figure:
    import altair as alt
    import polars as pl

    rows = found.layers.filter((pl.col("measure") == name) & pl.col("value").is_not_nan())
    colours = colours_of(scores.ways(found)) | {"the model": colours_of([PUBLISHED_WAY])[PUBLISHED_WAY]}
    if name in _DUAL_MEASURES:  # finetuning plays no part in it
        rows = rows.filter(pl.col("way").is_in([PUBLISHED_WAY, UNTRAINED])).with_columns(
            pl.when(pl.col("way") == UNTRAINED).then(pl.col("way")).otherwise(pl.lit("the model")).alias("way")
        )
    ways = rows["way"].unique(maintain_order=True).to_list()
    chart = (
        alt.Chart(alt.InlineData(values=rows.select("way", "layer", "value").to_dicts()))
        .mark_line(point=True)
        .encode(
            x=alt.X("layer:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title=name),
            color=coloured("way", colours, ways),
            tooltip=["way:N", "layer:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )
    says = f"{name} by layer, averaged over queries and seeds, of {', '.join(ways)}."
    return figure(file_name(name), name, chart, 240, says)
