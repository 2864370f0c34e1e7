"""The report of probes: a heat map over layers and heads for each model and score, and the best heads."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from llm_icl.analysis.intervals import Estimate
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.probing import HEADS
from llm_icl.experiments.provenance import provenance_of
from llm_icl.reports.charts import Axis, heat_map, reading
from llm_icl.reports.document import Badge, Card, Column, Figure, Finding, Fold, Report, Section, Table
from llm_icl.reports.joined import joined
from llm_icl.reports.values import written
from llm_icl.runs import RunDirectory

_COLUMNS = (
    Column("model", "model", short=True),
    Column("score", "score", short=True),
    Column("layer", "layer", "count", short=True),
    Column("head", "head", "count", short=True),
    Column("value", "value", "number", short=True),
    Column("uniform attention", "uniform", "number", short=True),
)
# Heads with at least this score count as strong (Bhattamishra et al. 2024).
_STRONG = 0.5
_BEST = 5
# In half-widths of a 95 % interval: about four standard errors, which the best of a thousand heads does not reach by
# chance.
_FAR = 2.0
# With more heads, numbers do not fit into the heat map.
_MOST_HEADS = 16
_NOTES = (
    "Induction: in a sequence that is repeated, the attention from a query to the labels of all earlier points that "
    "are equal to it, summed over these and averaged over queries from the second copy of the sequence on.",
    "Nearest neighbour: the attention from a query in the second half to the labels of the nearest earlier points (by "
    "Hamming distance, summed over ties).",
    "A head that attends only to these labels scores 1. The null is uniform attention over all tokens up to the query.",
    "Intervals are 95 %, with the problem as the unit. Layers and heads are numbered from 0.",
)


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """Raises RequestError if a run is unfinished."""
    return joined([_report(run) for run in runs], "Attention head scores")


def _report(run: RunDirectory) -> Report:
    record, path = run.record, run.path / HEADS
    if record.get("status") != "complete" or not path.is_file():
        raise RequestError(f"{run.path} is not a finished probe")
    heads = pl.read_parquet(path, glob=False)
    groups = [
        (str(model), str(score), some)
        for (model, score), some in heads.group_by(["model", "score"], maintain_order=True)
    ]
    best = [some.sort("value", descending=True).head(_BEST) for _, _, some in groups]
    maps = tuple(
        Section(f"{model}: {score}", f"{file_name(model)}-{score}", (_heat_map(some, f"{model}: {score}"),))
        for model, score, some in groups
    )
    tables = (
        _table("best_heads", f"Top {_BEST} heads per model and score", pl.concat(best)),
        Fold("All heads", (_table("heads", "All heads", heads),)),
    )
    return Report(
        "Attention head scores",
        _setting(record),
        (),
        (*maps, Section("Top heads", "best", tables)),
        _NOTES,
        (provenance_of(record),),
        tuple(
            _card(model, {score: some for name, score, some in groups if name == model}, record)
            for model in dict.fromkeys(name for name, _, _ in groups)
        ),
    )


def _table(key: str, caption: str, heads: pl.DataFrame) -> Table:
    rows = tuple(
        {name: row[name] for name in ("model", "score", "layer", "head", "uniform")}
        | {"value": Estimate(row["value"], row["low"], row["high"])}
        for row in heads.iter_rows(named=True)
    )
    return Table(key, caption, _COLUMNS, rows)


def _card(model: str, scores: Mapping[str, pl.DataFrame], record: dict[str, Any]) -> Card:
    findings = {
        f"{score.capitalize()} heads": Finding(_badge(some), _line(some, score)) for score, some in scores.items()
    }
    trust = (
        f"{_setting(record)} The best head is chosen and scored on the same problems: its score is slightly too high. "
        "Attention shows where a head looks, not what the model computes from it."
    )
    task = record["request"]["tasks"][0]["name"]
    return Card(model, f"{task}, n = {record['request']['n'][0]}", findings | {"Trust": Finding("weak", trust)})


def _badge(some: pl.DataFrame) -> Badge:
    """Clear if the best head is above uniform attention by far more than chance."""
    best = some.sort("value", descending=True).row(0, named=True)
    if not math.isfinite(best["low"]):
        return "can't tell"
    return "clear" if best["value"] - best["uniform"] > _FAR * (best["value"] - best["low"]) else "weak"


def _line(some: pl.DataFrame, score: str) -> str:
    strong = some.filter(pl.col("value") >= _STRONG)
    best = some.sort("value", descending=True).row(0, named=True)
    return (
        f"Heads with {'an' if score[0] in 'aeiou' else 'a'} {score} score of at least {_STRONG}: {len(strong)} of "
        f"{len(some)}; the maximum is {best['value']:.3f} (layer {best['layer']}, head {best['head']}), vs. "
        f"{best['uniform']:.3f} for uniform attention."
    )


def _setting(record: dict[str, Any]) -> str:
    request = record["request"]
    task = request["tasks"][0]["name"]
    return (
        f"{request['problems']} problems of {task}, n = {request['n'][0]}, {request['points']} points; for induction, "
        f"{request['points'] // request['copies']} points repeated {request['copies']} times."
    )


def _heat_map(some: pl.DataFrame, title: str) -> Figure:
    rows = [
        {
            "x": row["head"], "y": row["layer"], "value": row["value"], "text": f"{row['value']:.2f}",
            "says": reading(f"layer {row['layer']}", f"head {row['head']}",
                            written(Estimate(row["value"], row["low"], row["high"]), "number")),
        }
        for row in some.iter_rows(named=True)
    ]  # fmt: skip
    best = some.sort("value", descending=True).row(0, named=True)
    says = (
        f"The score of each head by layer, {title}; the maximum is {best['value']:.3f} at layer {best['layer']}, head "
        f"{best['head']}."
    )
    heads = some["head"].n_unique()
    name = f"Score by layer and head ({title})"
    return heat_map("heads", name, rows, Axis("head"), Axis("layer"), says, domain=(0, 1), text=heads <= _MOST_HEADS,
                    wide=4 + 1.6 * heads)  # fmt: skip
