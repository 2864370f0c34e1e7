"""The report of a comparison of attentions in language modelling."""

from collections.abc import Mapping, Sequence
from functools import partial

import polars as pl

from llm_icl.analysis.comparisons import Judgement
from llm_icl.analysis.effects import Effect, correction, shown
from llm_icl.analysis.intervals import LEVEL, Estimate
from llm_icl.config.specs import counted
from llm_icl.errors import RequestError
from llm_icl.experiments.language_modelling import perplexity
from llm_icl.experiments.language_modelling.cards import card_of
from llm_icl.experiments.language_modelling.figures import changes_figure, training_figure
from llm_icl.experiments.language_modelling.run import LOSSES, name_of
from llm_icl.experiments.provenance import provenance_of
from llm_icl.reports.document import Block, Card, Column, Report, Row, Section, Table
from llm_icl.reports.joined import joined
from llm_icl.runs import RunDirectory
from local_models.metrics import read_metrics

_TITLE = "Momentum attention in language modelling"
_NOTES = (
    "Perplexity is exp of the mean loss over held-out tokens, each predicted from at most the given number of previous "
    "tokens; the predicted tokens are the same at every length. Intervals are over seeds.",
    "Changes are paired by seed: models with the same seed have the same initial weights, where applicable, and the "
    "same batches. The interval over seeds covers variation between training runs (Student's t: wide with few seeds); "
    "the interval over the text covers variation between texts for these trained models.",
    "momentum: the formula of Dai et al. 2023, the sum over earlier tokens of eta^(t-i) times their values is added to "
    "each head, not normalised; the paper does not state eta. momentum-learned: the authors' released code, a learned "
    "filter over the values, including the current token.",
    "Cards compare attentions at the longest context, corrected together (Holm). Intervals in tables and figures are "
    "95 % each, without correction.",
)


def report_of(runs: Sequence[RunDirectory]) -> Report:
    """Raises RequestError if a run is unfinished."""
    found = [_Comparison(run) for run in runs]
    told = shown({(i, name): effect for i, one in enumerate(found) for name, effect in one.effects().items()})
    reports = []
    for i, one in enumerate(found):
        own = {name: judgement for (j, name), judgement in told.items() if i == j}
        reports.append(one.report(own, correction(told)))
    return joined(reports, _TITLE)


class _Comparison:
    """The report of one finished run."""

    def __init__(self, run: RunDirectory) -> None:
        self._record = run.record
        if self._record.get("status") != "complete" or not (run.path / LOSSES).is_file():
            raise RequestError(f"{run.path} is not a finished train-lm run")
        self._losses = pl.read_parquet(run.path / LOSSES, glob=False)
        request = self._record["request"]
        self._attentions: list[str] = request["attentions"]
        self._lengths: list[int] = request["lengths"]
        self._window: int = request["plan"]["length"]
        self._curves = pl.DataFrame(
            {"attention": name, "step": line["step"], "loss": line["held_out_loss"]}
            for name in self._attentions
            for seed in request["seeds"]
            for line in read_metrics(run.path / name_of(name, seed))
        )

    def effects(self) -> dict[str, Effect]:
        """At the longest context, each attention against the first one."""
        length, seeds = self._lengths[-1], len(self._record["request"]["seeds"])
        return {name: Effect(partial(self._change, name, length), seeds) for name in self._attentions[1:]}

    def report(self, told: Mapping[str, Judgement], corrected: str) -> Report:
        """`told` is what its effects show among all comparisons of a report, which `corrected` says."""
        compared: list[Block] = [self._perplexities()]
        if len(self._attentions) > 1:
            changes = {
                (name, length): self._change(name, length) for name in self._attentions[1:] for length in self._lengths
            }
            compared += [self._changes(), changes_figure(changes, self._attentions[0])]
        sections = (
            Section("Perplexity on held-out text", "perplexity", tuple(compared)),
            Section("Training curves", "over", (training_figure(self._curves, self._attentions),)),
        )
        made = (provenance_of(self._record),)
        return Report(_TITLE, self._setting(), (), sections, _NOTES, made, self._cards(told, corrected))

    def _perplexities(self) -> Table:
        columns = (
            Column("attention", "attention", short=True),
            *(Column(counted(length, "token"), f"tokens_{length}", "hundredths", True) for length in self._lengths),
            Column("parameters", "parameters", "count", True),
            Column("steps per second", "steps_per_second", "hundredths", True),
        )
        rows: list[Row] = []
        for name in self._attentions:
            own = self._losses.filter(pl.col("attention") == name)
            speed = own.group_by("seed").agg(pl.col("speed").first())["speed"].to_numpy().mean()
            shown = {
                f"tokens_{length}": perplexity.perplexity(self._losses, name, length, self._window)
                for length in self._lengths
            }
            more = {"parameters": int(own["parameters"][0]), "steps_per_second": float(speed)}
            rows.append({"attention": name, **shown, **more})
        return Table("perplexities", "Perplexity by context length", columns, tuple(rows))

    def _changes(self) -> Table:
        """Relative change in perplexity vs. the first attention, in percent."""
        columns = [Column("attention", "attention", short=True)]
        for length in self._lengths:
            tokens = counted(length, "token")
            columns.append(Column(f"{tokens}, over seeds", f"tokens_{length}", "change", True))
            columns.append(Column(f"{tokens}, over the text", f"tokens_{length}_over_text", "change", True))
        rows: list[Row] = []
        for name in self._attentions[1:]:
            over_trainings = {f"tokens_{length}": self._change(name, length) for length in self._lengths}
            over_text = {f"tokens_{length}_over_text": self._change_over_text(name, length) for length in self._lengths}
            rows.append({"attention": name, **over_trainings, **over_text})
        caption = f"Change in perplexity vs. {self._attentions[0]}, in percent"
        return Table("changes", caption, tuple(columns), tuple(rows))

    def _cards(self, told: Mapping[str, Judgement], corrected: str) -> tuple[Card, ...]:
        """At the longest context."""
        first, length, seeds = self._attentions[0], self._lengths[-1], len(self._record["request"]["seeds"])
        sentences = f"{self._seeds.capitalize()}; {self._predicted:,} held-out tokens.", corrected
        trust = " ".join(filter(None, sentences))
        return tuple(
            card_of(
                name,
                length,
                perplexity.perplexity(self._losses, name, length, self._window),
                first,
                told.get(name),
                seeds,
                trust,
            )
            for name in self._attentions
        )

    def _setting(self) -> str:
        request, tokens = self._record["request"], self._record["tokens"]
        plan = request["plan"]
        seen = plan["steps"] * plan["batch"] * plan["length"]
        return (
            f"GPT-2 with {counted(request['layers'], 'layer')}, width {request['width']} and "
            f"{counted(request['heads'], 'head')}, trained on {tokens['training']:,} tokens (vocabulary: "
            f"{tokens['vocabulary']:,}, from the same text) for {counted(plan['steps'], 'step')} of {plan['batch']} x "
            f"{plan['length']} tokens, {seen:,} in total, evaluated on {self._predicted:,} held-out tokens; "
            f"{self._seeds}. Wall time {self._record['wall_seconds']:.0f} s."
        )

    @property
    def _predicted(self) -> int:
        length: int = self._record["request"]["plan"]["length"]
        return int((self._record["tokens"]["held out"] - 1) // length * length)

    @property
    def _seeds(self) -> str:
        count = len(self._record["request"]["seeds"])
        return f"{count} seeds per attention" if count > 1 else "one seed per attention"

    def _change(self, name: str, length: int, level: float = LEVEL) -> Estimate:
        return perplexity.change(self._losses, name, self._attentions[0], length, self._window, level)

    def _change_over_text(self, name: str, length: int) -> Estimate:
        return perplexity.change_over_text(self._losses, name, self._attentions[0], length, self._window)
