"""The report of a comparison of in-context learning with finetuning."""

from typing import Any

from tabulate import tabulate

from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.comparison import PUBLISHED_WAY, UNTRAINED, Compared
from llm_icl.experiments.finetuning.published import MODELS, PUBLISHED
from llm_icl.reports.charts import COLOURS
from llm_icl.reports.estimates import number, share
from llm_icl.reports.html import page

# The rows of the table of measures, and whose values per layer are drawn.
_MEASURES = (
    "SimAOU", "SimAOU, random change", "SimAOU at a label", "SimAM", "SimAM before finetuning", "SimAM of changes",
    "SimAM of changes, after softmax", "SimAM of changes, after softmax, random change", "Kendall",
    "Kendall, not finetuned", "Kendall, as published", "Kendall, random", "top tokens", "top tokens, not finetuned",
    "top demonstrations", "top demonstrations, not finetuned",
)  # fmt: skip
_GAP = "dual form, gap"  # of rounding only
_DUAL = (_GAP, "dual form, cosine of softmax's change", "dual form, distance of softmax")
_DRAWN = ("SimAOU", "SimAM of changes, after softmax", "Kendall", _DUAL[1])
NOTES = (
    "Finetuning: one epoch of plain gradient descent on the demonstrations, in the order in which they stand in the "
    "context, one at a time, on the mean loss of all tokens; keys' and values' projections only; float32. The loss is "
    "that of the demonstrations, in nats a token: of the model as it was, and while it learned them, each before its "
    "own update.",
    "Rec2FTP: of the queries that the model alone has wrong and finetuning right, the share that in-context learning "
    "has right. Its null: of those that the model alone has wrong and finetuning does not mend.",
    "SimAOU: the cosine between the changes that both make to an attention layer's output, brought to length 1, at the "
    "query's last token. Null: a change as long as that by finetuning, in a direction drawn uniformly; where changes "
    "are great, it is not 0. At a label, without a null of its own: read where the published code reads it, at the "
    "token after the query where that is the (first) token of label 0's word. Their other numbers were read there too.",
    "SimAM: the cosine of attention to the query's tokens before softmax, in context and finetuned, as published. Of "
    "changes: of what both change in it, centred; after softmax: of what both change in attention, as it is shared out "
    "over the query's tokens; its null: a change of each head's logits as long as that by finetuning, in a direction "
    "drawn uniformly. Layers in which nothing changes (a first one with rotary positions) do not count.",
    "Kendall: rank correlation of the attention to the demonstrations' tokens in context with the products of the "
    "query's vector with theirs (normalised where attention normalises them, before any rotation), by layer, in a "
    "finetuned model that is shown these demonstrations afterwards, whatever it learned. Null: the same in the model "
    "that was not finetuned, where they are alike already. As published: the demonstrations' vectors are those of the "
    "moment in which each was learned; random numbers are the published null.",
    "Top tokens, top demonstrations: of the 100 tokens and 5 demonstrations that get most attention, the share that "
    "both have in common; null: as Kendall's.",
    "Layer-causal gradient descent (Deutch et al. 2024): each layer learns from its own read-out only. Its rate, and "
    "the controls', is the one that was chosen for gradient descent (or the next smaller at which it stays finite).",
    "Dual form: the gap is the greatest relative difference between linear attention over all tokens and the zero-shot "
    "weights (made of the query's own tokens as they stand behind the demonstrations) plus the sum of outer products, "
    "in float64; the cosine is that between what demonstrations change in the output of softmax attention and of "
    "linear attention.",
    "Controls: a difference is that of finetuning on these demonstrations less the control, each above its own null; "
    "the share is of what finetuning on these demonstrations is above its null.",
    "Intervals are 95 %, over queries and, where there are several, seeds, by analysis of variance: another draw of "
    "queries or demonstrations might have come. With one seed they are over queries only.",
)


def accuracy_table(found: Compared, record: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Accuracies and Rec2FTP by way of finetuning, with the published ones."""
    headers = ["finetuned by", *scores.SETTINGS.values(), "Rec2FTP", "its null", "loss", "rate"]
    rows = []
    for way in scores.ways(found):
        recovered, null = scores.recovery(found, way)
        shown = [share(scores.accuracy(found, way, setting)) for setting in scores.SETTINGS]
        rows.append([way, *shown, share(recovered), share(null), losses(found, way), rates(found, way)])
    for model, values in PUBLISHED.get(record["request"]["dataset"]["name"], {}).items():
        shown = [f"{values[setting]:.1f}" for setting in scores.SETTINGS]
        rows.append([f"published, {model}", *shown, f"{values['Rec2FTP']:.1f}", "", "", ""])
    return headers, rows


def measures_table(found: Compared, record: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Each measure, by way of finetuning, with the published values."""
    published = PUBLISHED.get(record["request"]["dataset"]["name"], {})
    headers = ["measure", *scores.ways(found), *(f"published, {model}" for model in MODELS if published)]
    rows = []
    for name in (*_MEASURES, *_DUAL):
        measured = [scores.measure(found, way, name) for way in scores.ways(found)]
        row = [name, *(f"{one.value:.1e}" if name == _GAP and one.known else number(one) for one in measured)]
        row += [f"{values[name]:.3f}" if name in values else "" for values in published.values()]
        rows.append(row)
    return headers, rows


def summary(found: Compared, record: dict[str, Any]) -> str:
    """What a terminal shows."""
    tables = [tabulate(rows, headers, disable_numparse=True) for headers, rows in
              (accuracy_table(found, record), _few(measures_table(found, record)))]  # fmt: skip
    return "\n\n".join([*tables, *scores.verdict(found)])


def finetuning_markdown(found: Compared, record: dict[str, Any]) -> str:
    parts = [
        f"# {_title(record)}",
        "",
        setting(found, record),
        "",
        *(f"- {line}" for line in scores.verdict(found)),
        "",
    ]
    for headers, rows in (accuracy_table(found, record), measures_table(found, record)):
        parts += [tabulate(rows, headers, tablefmt="github", disable_numparse=True), ""]
    parts += ["## How to read this", "", *(f"- {note}" for note in NOTES), "", f"    {record['command']}", ""]
    return "\n".join(parts)


def finetuning_html(found: Compared, record: dict[str, Any]) -> str:
    figures = {f"figure-{i}": _by_layer(found, name) for i, name in enumerate(_DRAWN)}
    return page(
        "finetuning.html.jinja",
        figures,
        title=_title(record),
        setting=setting(found, record),
        sentences=scores.verdict(found),
        tables={"Accuracy, in percent": accuracy_table(found, record), "Likeness": measures_table(found, record)},
        heading="Layer by layer",
        drawn=_DRAWN,
        notes=NOTES,
        commands=[record["command"]],
    )


def _few(table: tuple[list[str], list[list[str]]]) -> tuple[list[str], list[list[str]]]:
    """The published way only."""
    headers, rows = table
    return headers[:2], [row[:2] for row in rows]


def _title(record: dict[str, Any]) -> str:
    request = record["request"]
    return f"In-context learning against finetuning: {request['model']['name']} on {request['dataset']['name']}"


def losses(found: Compared, way: str) -> str:
    """The demonstrations' loss before finetuning and during it, by seed."""
    return ", ".join(f"{before:.2f} → {during:.2f}" for before, during in found.losses.get(way, {}).values())


def setting(found: Compared, record: dict[str, Any]) -> str:
    """What was compared, how it was chosen, and what it took."""
    request = record["request"]
    where = (
        "the very examples that are reported, as in the paper (which flatters all numbers)"
        if request["choose_on"] == "evaluation"
        else "texts that are neither demonstrated nor reported"
    )
    kept = ", ".join(f"{100 * same:.0f} %" for same in found.kept_labels.values())
    between = "a line break" if request["separator"] == "newline" else "the token that ends a text"
    counts = sorted(set(found.demonstrations.values()))
    shown = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    word = "demonstration" if counts == [1] else "demonstrations"
    cut = f" (of {request['demonstrations']}: as many as fit)" if counts[0] < request["demonstrations"] else ""
    shuffled = f"; shuffled labels: {kept} stayed what they were" if kept else ""
    given = ", ".join(map(str, request["seeds"]))
    if request["best_seed"]:
        seeds, chosen = f"seed {next(iter(found.demonstrations))}, the best in context of {given}", "seed and rates"
    else:
        seeds, chosen = f"seeds {given}" if len(request["seeds"]) > 1 else f"seed {given}", "rates"
    return (
        f"{shown} {word}{cut}, {seeds}, with {between} between them; {request['examples']} queries; {chosen} "
        f"chosen on {where}{shuffled}. "
        f"Wall time {record['wall_seconds']:.0f} s, {record['memory_gb']:.1f} GB of memory."
    )


def rates(found: Compared, way: str) -> str:
    """The rates, by seed; of one that was chosen, whether it might rather have been beyond those that were tried."""
    ends = {min(found.tried_rates): " (least tried)", max(found.tried_rates): " (greatest tried)"}
    if way != PUBLISHED_WAY or len(ends) == 1:
        ends = {}
    return ", ".join(f"{rate:g}{ends.get(rate, '')}" for rate in found.rates.get(way, {}).values())


def _by_layer(found: Compared, name: str) -> dict[str, Any]:
    import altair as alt
    import polars as pl

    rows = found.layers.filter((pl.col("measure") == name) & pl.col("value").is_not_nan())
    if name in _DUAL:  # finetuning plays no part in it
        rows = rows.filter(pl.col("way").is_in([PUBLISHED_WAY, UNTRAINED])).with_columns(
            pl.when(pl.col("way") == UNTRAINED).then(pl.col("way")).otherwise(pl.lit("the model")).alias("way")
        )
    ways = rows["way"].unique(maintain_order=True).to_list()
    colours = [COLOURS[scores.ways(found).index(way) if way in scores.ways(found) else 0] for way in ways]
    chart = (
        alt.Chart(alt.InlineData(values=rows.select("way", "layer", "value").to_dicts()))
        .mark_line(point=True)
        .encode(
            x=alt.X("layer:Q", axis=alt.Axis(tickMinStep=1)),
            y=alt.Y("value:Q", title=name),
            color=alt.Color("way:N", scale=alt.Scale(domain=ways, range=colours),
                            legend=alt.Legend(title=None, orient="bottom", labelLimit=260)),
            tooltip=["way:N", "layer:Q", alt.Tooltip("value:Q", format=".3f")],
        )
    )  # fmt: skip
    specification: dict[str, Any] = chart.properties(width="container", height=240, background="transparent").to_dict()
    return specification
