"""The report of comparisons of in-context learning with finetuning."""

from collections.abc import Mapping, Sequence
from typing import Any

from llm_icl.analysis.effects import correction, shown
from llm_icl.config.files import file_name
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.cards import card_of
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.effects import SYMBOLS, effects, gains
from llm_icl.experiments.finetuning.joint_report import joint_report
from llm_icl.experiments.finetuning.measures import (
    DUAL_COSINE,
    DUAL_DISTANCE,
    DUAL_FORM,
    DUAL_GAP,
    MEASURES,
    ORDER_FINETUNED,
    ORDER_IN_CONTEXT,
    ORDER_MEASURES,
    Measure,
)
from llm_icl.experiments.finetuning.methods import (
    DRAWS,
    METHOD,
    ORDER,
    PUBLISHED_METHOD,
    UNTRAINED,
)
from llm_icl.experiments.finetuning.published import MODELS, PUBLISHED
from llm_icl.experiments.finetuning.run import read
from llm_icl.experiments.finetuning.setting import NOTES, losses, rates, scales, setting
from llm_icl.experiments.finetuning.verdict import verdict
from llm_icl.experiments.provenance import provenance_of
from llm_icl.reports.charts import COUNT, Axis, Point, lines
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Column, Figure, Report, Row, Section, Table
from llm_icl.reports.values import Kind, Value, written
from llm_icl.runs import RunDirectory


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """One comparison in full, or several in joint tables. Raises RequestError where one of them is not finished, or
    two are of the same model and texts.
    """
    found = [(read(run), run.record) for run in runs]
    return comparison_report(*found[0]) if len(found) == 1 else joint_report(found)


def comparison_report(found: Compared, record: dict[str, Any]) -> Report:
    model, texts = (record["request"][key]["name"] for key in ("model", "dataset"))
    compared = effects(found)
    told, gain = shown(compared), gains({texts: found})
    signs = {key: SYMBOLS[one.outcome] for key, one in told.items()}
    differences = {key: one.estimate() for key, one in compared.items()}
    similarity = (
        _by_measure(signs, "matrix", "Finetuning's similarity with in-context learning, against", "text"),
        _by_measure(differences, "differences", "The same as differences", "number"),
        _measures_table(found, record),
    )
    sections = (
        Section("Gain", "gain", (_gain_table(found, record),)),
        Section("Similarity", "similarity", similarity),
        Section("Updates", "updates", (_updates_table(found), *_order_table(found))),
        Section("Dual form", "dual-form", (_dual_table(found),)),
        Section("Layer by layer", "layers", tuple(_by_layer(found, measure) for measure in MEASURES if measure.drawn)),
    )
    return Report(
        f"In-context learning against finetuning: {model} on {texts}",
        setting(found, record),
        tuple(verdict(found, compared, told, gain[texts])),
        sections,
        (*NOTES, *record.get("remarks", ())),
        (provenance_of(record),),
        (card_of(model, {texts: found}, {texts: told}, gain, correction(told)),),
    )


def _gain_table(found: Compared, record: dict[str, Any]) -> Table:
    """Accuracies in each setting, beside the published ones."""
    published = PUBLISHED.get(record["request"]["dataset"]["name"], {})
    columns = (
        Column("setting", "setting", short=True),
        Column("accuracy", "accuracy", "share", True),
        Column("gain (points)", "gain", "points", True),
        *(Column(f"published, {model}", f"published, {model}", "share") for model in published),
    )
    rows: list[Row] = []
    for key, words in scores.SETTINGS.items():
        gain = None if key == "zs" else scores.gain(found, key)
        known = {f"published, {model}": values[key] / 100 for model, values in published.items()}
        rows.append(
            {"setting": words, "accuracy": scores.accuracy(found, PUBLISHED_METHOD, key), "gain": gain, **known}
        )
    return Table("accuracies", "Accuracy, in percent", columns, tuple(rows))


def _by_measure(cells: Mapping[tuple[str, str], Value], key: str, caption: str, kind: Kind) -> Table:
    """A row for each measure that has data, a column for each thing that it is compared with."""
    against = list(dict.fromkeys(against for _, against in cells))
    rows: list[Row] = [
        {"measure": measure, **{name: cells.get((measure, name)) for name in against}}
        for measure in dict.fromkeys(measure for (measure, _), value in cells.items() if written(value, kind))
    ]
    columns = (
        Column("measure", "measure", short=kind == "text"),
        *(Column(name, name, kind, short=kind == "text") for name in against),
    )
    return Table(key, caption, columns, tuple(rows))


def _updates_table(found: Compared) -> Table:
    """Each update of the weights: what it was made to, and what it does."""
    columns = (
        Column("update", "method", short=True),
        Column("accuracy", "ft", "share", True),
        Column("Rec2FTP", "rec2ftp", "share", True),
        Column("loss", "loss", short=True),
        Column("factor", "scale"),
        Column("learning rate", "rate", short=True),
    )
    rows: list[Row] = []
    for method in scores.methods(found):
        rows.append(
            {
                "method": method,
                "ft": scores.accuracy(found, method, "ft"),
                "rec2ftp": scores.recovery(found, method),
                "loss": losses(found, method),
                "scale": scales(found, method),
                "rate": rates(found, method),
            }
        )
    return Table("updates", "Updates of the weights", columns, tuple(rows), frozenset({PUBLISHED_METHOD}))


def _measures_table(found: Compared, record: dict[str, Any]) -> Table:
    """Each measure, by update, with the published values; a terminal shows the published method."""
    published = PUBLISHED.get(record["request"]["dataset"]["name"], {})
    columns = (
        Column("measure", "measure", short=True),
        *(Column(method, method, "number", i == 0) for i, method in enumerate(scores.methods(found))),
        *(Column(f"published, {model}", f"published, {model}", "number") for model in MODELS if published),
    )
    rows: list[Row] = []
    for measure in MEASURES:
        if measure not in (*DUAL_FORM, *ORDER_MEASURES):
            measured = {method: scores.estimate(found, method, measure) for method in scores.methods(found)}
            known = {f"published, {model}": values.get(measure.published) for model, values in published.items()}
            if any(written(value, "number") for value in (*measured.values(), *known.values())):
                rows.append({"measure": measure.name, **measured, **known})
    return Table("measures", "Similarity by update", columns, tuple(rows))


def _order_table(found: Compared) -> list[Table]:
    """What another order of the same demonstrations changes; none without that control."""
    if ORDER not in scores.methods(found):
        return []
    columns = (
        Column("setting", "setting"),
        Column("changed answers", "changed", "share"),
        Column("cosine of updates", "cosine", "number"),
    )
    rows: list[Row] = []
    for key, measure in (("icl", ORDER_IN_CONTEXT), ("ft", ORDER_FINETUNED)):
        changed, cosine = scores.changed_answers(found, ORDER, key), scores.estimate(found, ORDER, measure)
        rows.append({"setting": scores.SETTINGS[key], "changed": changed, "cosine": cosine})
    return [Table("order", "The same demonstrations in another order", columns, tuple(rows))]


def _dual_table(found: Compared) -> Table:
    """How close linear attention is to a step of gradient descent, and softmax attention to linear attention."""
    columns = (
        Column("model", "method"),
        Column("gap (rounding only)", "gap", "rounding"),
        Column("cosine of softmax's change", "cosine", "number"),
        Column("distance of softmax", "distance", "number"),
    )
    rows: list[Row] = []
    for method, name in ((PUBLISHED_METHOD, "the model"), (UNTRAINED, UNTRAINED)):
        gap, cosine, distance = (
            scores.estimate(found, method, measure) for measure in (DUAL_GAP, DUAL_COSINE, DUAL_DISTANCE)
        )
        if gap.known:
            rows.append({"method": name, "gap": gap.value, "cosine": cosine, "distance": distance})
    return Table("dual_form", "Dual form", columns, tuple(rows))


def _by_layer(found: Compared, measure: Measure) -> Figure:
    import polars as pl

    one_draw = {draw: name for name, some in DRAWS.items() for draw in some}
    rows = found.layers.with_columns(pl.col(METHOD).replace(one_draw).alias("method"))
    rows = rows.filter((pl.col("measure") == measure.name) & pl.col("value").is_not_nan())
    rows = rows.group_by("method", "layer", maintain_order=True).agg(pl.col("value").mean())
    colours = colours_of(scores.methods(found)) | {"the model": colours_of([PUBLISHED_METHOD])[PUBLISHED_METHOD]}
    if measure.comparand == "model":  # the same for all methods of finetuning
        rows = rows.filter(pl.col("method").is_in([PUBLISHED_METHOD, UNTRAINED])).with_columns(
            pl.when(pl.col("method") == UNTRAINED).then("method").otherwise(pl.lit("the model")).alias("method")
        )
    methods = rows["method"].unique(maintain_order=True).to_list()
    series = {
        method: [
            Point(layer, value, f"{value:.3f}")
            for layer, value in rows.filter(pl.col("method") == method).select("layer", "value").iter_rows()
        ]
        for method in methods
    }
    says = f"{measure.name} by layer, averaged over queries and seeds, of {', '.join(methods)}."
    y = Axis(measure.name)
    return lines(file_name(measure.name), measure.name, series, Axis("layer", form=COUNT), y, colours, says, height=240)
