"""The report of a comparison of attentions in language modelling."""

import math
from typing import Any

import polars as pl
from tabulate import tabulate

from llm_icl.analysis.intervals import Estimate
from llm_icl.config.specs import counted
from llm_icl.experiments.language_modelling import perplexity
from llm_icl.experiments.language_modelling.run import LOSSES, name_of
from llm_icl.reports import estimates
from llm_icl.reports.charts import COLOURS
from llm_icl.reports.html import page
from llm_icl.runs import RunDirectory
from local_models.metrics import read_metrics

_TITLE = "Momentum attention in language modelling"
_NOTES = (
    "Perplexity is exp of the mean loss over held-out tokens, each predicted from at most so many tokens before it; "
    "the tokens that are predicted are the same at every length. Its interval is over trainings (seeds).",
    "A change is paired by seed: models of one seed begin with the same weights, as far as they share them, and see "
    "the same batches. Its interval over trainings tells whether another training would say the same (Student's t: "
    "wide with few seeds); that over the text, whether these very models would on another text of the kind.",
    "momentum: the formula of Dai et al. 2023, the sum over earlier tokens of eta^(t-i) times their values is added to "
    "each head, not normalised; the paper does not give eta. momentum-learned: what its authors posted instead, a "
    "learned filter over the values, the current token included.",
    "All intervals are 95 %, and not corrected for the number of attentions that are compared.",
)


class LanguageReport:
    """What a finished run says."""

    def __init__(self, run: RunDirectory) -> None:
        self.record, self._losses = run.record, pl.read_parquet(run.path / LOSSES)
        request = self.record["request"]
        self.attentions: list[str] = request["attentions"]
        self.lengths: list[int] = request["lengths"]
        self._window: int = request["plan"]["length"]
        self._curves = pl.DataFrame(
            {"attention": name, "step": line["step"], "loss": line["held_out_loss"]}
            for name in self.attentions
            for seed in request["seeds"]
            for line in read_metrics(run.path / name_of(name, seed))
        )

    def perplexities(self) -> tuple[list[str], list[list[str]]]:
        headers = [
            "attention",
            *(counted(length, "token") for length in self.lengths),
            "parameters",
            "steps per second",
        ]
        rows = []
        for name in self.attentions:
            own = self._losses.filter(pl.col("attention") == name)
            shown = [
                estimates.formatted(perplexity.perplexity(self._losses, name, length, self._window), ".2f")
                for length in self.lengths
            ]
            speed = own.group_by("seed").agg(pl.col("speed").first())["speed"].to_numpy().mean()
            rows.append([name, *shown, f"{own['parameters'][0]:,}", f"{speed:.2f}"])
        return headers, rows

    def changes(self) -> tuple[list[str], list[list[str]]]:
        """Against the first attention, in percent of its perplexity."""
        headers = ["attention"]
        for length in self.lengths:
            headers += [f"{counted(length, 'token')}, over {what}" for what in ("trainings", "the text")]
        rows = []
        for name in self.attentions[1:]:
            row = [name]
            for length in self.lengths:
                row += [estimates.change(self._change(name, length, over_text)) for over_text in (False, True)]
            rows.append(row)
        return headers, rows

    def verdict(self) -> list[str]:
        first, length = self.attentions[0], self.lengths[-1]
        sentences = []
        for name in self.attentions[1:]:
            change = self._change(name, length)
            how = f"{abs(100 * change.value):.2f} % {'lower' if change.value < 0 else 'higher'}"
            sentences.append(
                f"At {counted(length, 'token')} {name} has a perplexity {how} than {first} "
                f"({estimates.change(change)} % over {self._seeds}): {_meaning(change)}."
            )
        return sentences

    def setting(self) -> str:
        request, tokens = self.record["request"], self.record["tokens"]
        plan = request["plan"]
        seen = plan["steps"] * plan["batch"] * plan["length"]
        predicted = (tokens["held out"] - 1) // plan["length"] * plan["length"]
        return (
            f"GPT-2 with {counted(request['layers'], 'layer')} of width {request['width']} and "
            f"{counted(request['heads'], 'head')}, trained on {tokens['training']:,} tokens (a vocabulary of "
            f"{tokens['vocabulary']:,} from the same text) for {counted(plan['steps'], 'step')} of {plan['batch']} x "
            f"{plan['length']} tokens, {seen:,} in all, and tried on {predicted:,} held-out ones; {self._seeds}. "
            f"Wall time {self.record['wall_seconds']:.0f} s."
        )

    def summary(self) -> str:
        tables = [
            tabulate(rows, headers, disable_numparse=True)
            for headers, rows in (self.perplexities(), self.changes())
            if rows
        ]
        return "\n\n".join([*tables, *self.verdict()])

    def markdown(self) -> str:
        parts = [f"# {_TITLE}", "", self.setting(), "", *(f"- {line}" for line in self.verdict()), ""]
        for title, (headers, rows) in self._tables().items():
            parts += [f"## {title}", "", tabulate(rows, headers, tablefmt="github", disable_numparse=True), ""]
        parts += ["## How to read this", "", *(f"- {note}" for note in _NOTES), "", f"    {self.record['command']}", ""]
        return "\n".join(parts)

    def html(self) -> str:
        figures = {"training": self._over_training()}
        if len(self.attentions) > 1:
            figures["changes"] = self._changes_figure()
        return page(
            "language.html.jinja",
            figures,
            title=_TITLE,
            setting=self.setting(),
            sentences=self.verdict(),
            tables=self._tables(),
            notes=_NOTES,
            record=self.record,
        )

    @property
    def _seeds(self) -> str:
        count = len(self.record["request"]["seeds"])
        return f"{count} trainings of each" if count > 1 else "one training of each"

    def _tables(self) -> dict[str, tuple[list[str], list[list[str]]]]:
        tables = {"Perplexity on the held-out text": self.perplexities()}
        if len(self.attentions) > 1:
            tables[f"Change against {self.attentions[0]}, in percent"] = self.changes()
        return tables

    def _change(self, name: str, length: int, over_text: bool = False) -> Estimate:
        measure = perplexity.change_over_text if over_text else perplexity.change
        return measure(self._losses, name, self.attentions[0], length, self._window)

    def _changes_figure(self) -> dict[str, Any]:
        """The change of each attention at each length, with its interval over trainings."""
        import altair as alt

        rows = []
        for name in self.attentions[1:]:
            for length in self.lengths:
                change = self._change(name, length)
                row = {"attention": name, "tokens": counted(length, "token"), "change": change.value}
                known = math.isfinite(change.low)
                rows.append(row | ({"low": change.low, "high": change.high} if known else {}))
        names = [counted(length, "token") for length in self.lengths]
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            y=alt.Y("attention:N", sort=self.attentions[1:], title=None, axis=alt.Axis(labelLimit=220)),
            yOffset=alt.YOffset("tokens:N", sort=names),
            color=alt.Color("tokens:N", scale=alt.Scale(domain=names, range=list(COLOURS[: len(names)])),
                            legend=alt.Legend(title=None, orient="bottom")),
        )  # fmt: skip
        title = f"perplexity against {self.attentions[0]}"
        value = alt.X("change:Q", title=title, axis=alt.Axis(format="+.1%"))
        points = base.mark_point(filled=True, size=60).encode(
            x=value, tooltip=["attention:N", "tokens:N", alt.Tooltip("change:Q", format="+.2%")]
        )
        bars = base.mark_rule().encode(x=alt.X("low:Q"), x2="high:Q")
        none = alt.Chart(alt.InlineData(values=[{"zero": 0}])).mark_rule(strokeDash=[4, 4], color="#888888").encode(
            x="zero:Q"
        )  # fmt: skip
        return _finished(none + bars + points, 40 * len(self.attentions))

    def _over_training(self) -> dict[str, Any]:
        """The loss on the first of the held-out tokens by step, averaged over trainings."""
        import altair as alt

        rows = (
            self._curves.group_by("attention", "step").agg(pl.col("loss").mean()).sort("attention", "step").to_dicts()
        )
        colours = list(COLOURS[: len(self.attentions)])
        chart = (
            alt.Chart(alt.InlineData(values=rows))
            .mark_line(point=True)
            .encode(
                x=alt.X("step:Q", title="training steps"),
                y=alt.Y("loss:Q", title="loss on held-out text's first tokens (nats)", scale=alt.Scale(zero=False)),
                color=alt.Color("attention:N", scale=alt.Scale(domain=self.attentions, range=colours),
                                legend=alt.Legend(title=None, orient="bottom", labelLimit=260)),
                tooltip=["attention:N", "step:Q", alt.Tooltip("loss:Q", format=".3f")],
            )
        )  # fmt: skip
        return _finished(chart, 300)


def _finished(chart: Any, height: int) -> dict[str, Any]:
    specification: dict[str, Any] = chart.properties(
        width="container", height=height, background="transparent"
    ).to_dict()
    return specification


def _meaning(change: Estimate) -> str:
    if not math.isfinite(change.low):
        return "one training does not tell whether another would say the same"
    if change.high < 0:
        return "better"
    return "worse" if change.low > 0 else "not distinguishable"
