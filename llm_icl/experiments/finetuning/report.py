"""The report of comparisons of in-context learning with finetuning."""

from collections.abc import Sequence
from typing import Any

from llm_icl.config.files import file_name
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.joint_report import joint_report
from llm_icl.experiments.finetuning.measures import (
    DUAL_COSINE,
    DUAL_DISTANCE,
    DUAL_FORM,
    DUAL_GAP,
    MEASURES,
    Measure,
)
from llm_icl.experiments.finetuning.methods import METHOD, PUBLISHED_METHOD, UNTRAINED
from llm_icl.experiments.finetuning.published import MODELS, PUBLISHED, RECOVERY
from llm_icl.experiments.finetuning.run import read
from llm_icl.experiments.finetuning.setting import NOTES, losses, rates, setting
from llm_icl.reports.charts import coloured, colours_of, figure
from llm_icl.reports.document import Column, Figure, Provenance, Report, Row, Section, Table
from llm_icl.runs import RunDirectory


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
        Section("Layer by layer", "layers", tuple(_by_layer(found, measure) for measure in MEASURES if measure.drawn)),
    )
    return Report(
        f"In-context learning against finetuning: {request['model']['name']} on {request['dataset']['name']}",
        setting(found, record),
        tuple(scores.verdict(found)),
        sections,
        (*NOTES, *record.get("remarks", ())),
        (Provenance(record["command"]),),
    )


def _accuracy_table(found: Compared, record: dict[str, Any]) -> Table:
    """Accuracies and Rec2FTP by method of finetuning, with the published ones."""
    columns = (
        Column("finetuned by", "method", short=True),
        *(Column(words, key, "share", True) for key, words in scores.SETTINGS.items()),
        Column("Rec2FTP", "rec2ftp", "share", True),
        Column("its null", "rec2ftp_null", "share", True),
        Column("loss", "loss", short=True),
        Column("learning rate", "rate", short=True),
    )
    rows: list[Row] = []
    for method in scores.methods(found):
        recovered, null = scores.recovery(found, method)
        right = {key: scores.accuracy(found, method, key) for key in scores.SETTINGS}
        training = {"loss": losses(found, method), "rate": rates(found, method)}
        rows.append({"method": method, **right, "rec2ftp": recovered, "rec2ftp_null": null, **training})
    for model, values in PUBLISHED.get(record["request"]["dataset"]["name"], {}).items():
        known = {key: values[key] / 100 for key in scores.SETTINGS}
        rows.append({"method": f"published, {model}", **known, "rec2ftp": values[RECOVERY] / 100})
    return Table("accuracies", "Accuracy, in percent", columns, tuple(rows), frozenset({PUBLISHED_METHOD}))


def _measures_table(found: Compared, record: dict[str, Any]) -> Table:
    """Each measure, by method of finetuning, with the published values; a terminal shows the published method."""
    published = PUBLISHED.get(record["request"]["dataset"]["name"], {})
    columns = (
        Column("measure", "measure", short=True),
        *(Column(method, method, "number", i == 0) for i, method in enumerate(scores.methods(found))),
        *(Column(f"published, {model}", f"published, {model}", "number") for model in MODELS if published),
    )
    rows: list[Row] = []
    for measure in MEASURES:
        if measure not in DUAL_FORM:
            measured = {method: scores.estimate(found, method, measure) for method in scores.methods(found)}
            known = {f"published, {model}": values.get(measure.published) for model, values in published.items()}
            rows.append({"measure": measure.name, **measured, **known})
    return Table("measures", "Similarity by method of finetuning", columns, tuple(rows))


def _dual_table(found: Compared) -> Table:
    """How close linear attention is to a step of gradient descent, and softmax attention to linear attention."""
    columns = (
        Column("finetuned by", "method"),
        Column("gap (rounding only)", "gap", "rounding"),
        Column("cosine of softmax's change", "cosine", "number"),
        Column("distance of softmax", "distance", "number"),
    )
    rows: list[Row] = []
    for method in scores.methods(found):
        gap, cosine, distance = (
            scores.estimate(found, method, measure) for measure in (DUAL_GAP, DUAL_COSINE, DUAL_DISTANCE)
        )
        if gap.known:
            rows.append({"method": method, "gap": gap.value, "cosine": cosine, "distance": distance})
    return Table("dual_form", "Dual form", columns, tuple(rows))


def _by_layer(found: Compared, measure: Measure) -> Figure:
    import altair as alt
    import polars as pl

    rows = found.layers.rename({METHOD: "method"})
    rows = rows.filter((pl.col("measure") == measure.name) & pl.col("value").is_not_nan())
    colours = colours_of(scores.methods(found)) | {"the model": colours_of([PUBLISHED_METHOD])[PUBLISHED_METHOD]}
    if measure.comparand == "model":  # the same for all methods of finetuning
        rows = rows.filter(pl.col("method").is_in([PUBLISHED_METHOD, UNTRAINED])).with_columns(
            pl.when(pl.col("method") == UNTRAINED).then("method").otherwise(pl.lit("the model")).alias("method")
        )
    methods = rows["method"].unique(maintain_order=True).to_list()
    chart = (
        alt.Chart(alt.InlineData(values=rows.select("method", "layer", "value").to_dicts()))
        .mark_line(point=True)
        .encode(
            x=alt.X("layer:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title=measure.name),
            color=coloured("method", colours, methods),
            tooltip=["method:N", "layer:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )
    says = f"{measure.name} by layer, averaged over queries and seeds, of {', '.join(methods)}."
    return figure(file_name(measure.name), measure.name, chart, 240, says)
