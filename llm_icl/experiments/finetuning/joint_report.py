"""Several comparisons of in-context learning with finetuning, in the tables of Dai et al. 2023: a column for each set
of texts, and what they published beside.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llm_icl.analysis.intervals import Estimate
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.comparison import LAYER_CAUSAL, PUBLISHED_WAY, UNTRAINED, Compared
from llm_icl.experiments.finetuning.published import MODELS, PUBLISHED
from llm_icl.experiments.finetuning.setting import NOTES, losses, rates, setting
from llm_icl.reports.charts import coloured, colours_of
from llm_icl.reports.document import Column, Figure, Provenance, Report, Row, Section, Table
from llm_icl.reports.values import Kind, Value

# The measures that have a table of their own.
_MEASURES = ("SimAOU", "SimAOU at a label", "SimAM", "SimAM of changes", "SimAM of changes, after softmax", "Kendall",
             "Kendall, as published", "top tokens")  # fmt: skip
# Of the ways, one for each model that was finetuned.
_MODELS = (PUBLISHED_WAY, UNTRAINED)
_DRAWN = ("SimAOU", "SimAM of changes, after softmax", "Kendall")


class _Line(NamedTuple):
    """What a row is called, how it is read off a comparison, and its name among the published figures."""

    words: str
    value: Callable[[Compared], Value]
    published: str = ""


def joint_report(runs: Sequence[tuple[Compared, dict[str, Any]]]) -> Report:
    """`runs` are comparisons with their records. Raises RequestError where two of them are of the same."""
    return _Joint(runs).report()


class _Joint:
    def __init__(self, runs: Sequence[tuple[Compared, dict[str, Any]]]) -> None:
        self._runs: dict[tuple[str, str], Compared] = {}
        for found, record in runs:
            key = record["request"]["model"]["name"], record["request"]["dataset"]["name"]
            if key in self._runs:
                raise RequestError(f"two of the runs are of {key[0]} on {key[1]}")
            self._runs[key] = found
        self._models = list(dict.fromkeys(model for model, _ in self._runs))
        names = {name for _, name in self._runs}
        self._sets = [name for name in PUBLISHED if name in names] + sorted(names - set(PUBLISHED))
        self._ways = list(dict.fromkeys(way for found in self._runs.values() for way in scores.ways(found)))
        self._records = list(runs)

    def report(self) -> Report:
        sections = (
            Section("Accuracy", "accuracy", (self._accuracy(), self._recovery())),
            Section("Similarity", "similarity", tuple(map(self._measure, _MEASURES))),
            Section("Above the null, by set of texts", "above-null", tuple(map(self._figure, _DRAWN))),
            Section("Finetuning", "finetuning", self._finetuning()),
        )
        return Report(
            "In-context learning against finetuning",
            f"{', '.join(self._models)} on {', '.join(self._sets)}.",
            tuple(self._sentences()),
            sections,
            (*NOTES, *(self._about(found, record) for found, record in self._records)),
            tuple(Provenance(record["command"]) for _, record in self._records),
        )

    def _accuracy(self) -> Table:
        lines = [_Line(words, _accuracy(key), key) for key, words in scores.SETTINGS.items()]
        return self._table("accuracies", "Accuracy, in percent", lines, "share")

    def _recovery(self) -> Table:
        lines = [_Line(way, _recovery(way, 0), "Rec2FTP" if way == PUBLISHED_WAY else "") for way in self._ways]
        lines += [_Line(f"null of {way}", _recovery(way, 1)) for way in self._ways]
        return self._table("rec2ftp", "Rec2FTP, in percent", lines, "share")

    def _measure(self, name: str) -> Table:
        lines = [_Line(way, _measured(way, name), name if way == PUBLISHED_WAY else "") for way in self._ways]
        if name in scores.NULLS:
            null, words = scores.NULLS[name]
            lines += [
                _Line(f"null of {way}", _measured(way, null), null if way == PUBLISHED_WAY else "")
                for way in self._ways
                if words == scores.CHANCE or way in _MODELS
            ]
        return self._table(name, name, lines, "number")

    def _finetuning(self) -> tuple[Table, Table]:
        given = [_Line(way, _rates(way), "rate" if way == PUBLISHED_WAY else "") for way in self._ways]
        learned = [_Line(way, _losses(way)) for way in self._ways]
        return self._table("rate", "Learning rate", given, "text"), self._table("loss", "Loss", learned, "text")

    def _table(self, key: str, caption: str, lines: Sequence[_Line], kind: Kind) -> Table:
        """Each line for each model; and once with what was published, where there is something."""
        rows: list[Row] = []
        for model in self._models:
            for line in lines:
                runs = {name: self._runs.get((model, name)) for name in self._sets}
                values = {name: None if run is None else line.value(run) for name, run in runs.items()}
                rows.append({"row": f"{model}, {line.words}", **values})
        for model in MODELS:
            for line in lines:
                known = {name: PUBLISHED.get(name, {}).get(model, {}).get(line.published) for name in self._sets}
                label = f"published, {model}" + (f", {line.words}" if line.words != PUBLISHED_WAY else "")
                rows.append({"row": label, **{name: _published(value, kind) for name, value in known.items()}})
        columns = (Column("model and method", "row"), *(Column(name, name, kind) for name in self._sets))
        return Table(key, caption, columns, tuple(row for row in rows if any(_is_known(row[s]) for s in self._sets)))

    def _sentences(self) -> list[str]:
        """On how many sets each model's similarity is above chance, and above each control."""
        sentences = []
        for model in self._models:
            own = [found for (name, _), found in self._runs.items() if name == model]
            for name in scores.CONTROLLED:
                words = scores.null_of(name)
                parts = [(words, [scores.against_null(found, PUBLISHED_WAY, name) for found in own])]
                for way, called in scores.CALLED.items():
                    parts.append((called, [scores.difference(found, name, PUBLISHED_WAY, way) for found in own]))
                told = [f"{_above(gains)} above {words}" for words, gains in parts if any(g.known for g in gains)]
                sentences += [f"{model}: of gradient descent {name} is {', '.join(told)}."] if told else []
            better = [scores.difference(found, "SimAOU", LAYER_CAUSAL, PUBLISHED_WAY) for found in own]
            if any(gain.known for gain in better):
                sentences.append(f"{model}: SimAOU of layer-causal gradient descent is {_above(better)} above that.")
        return sentences

    def _about(self, found: Compared, record: dict[str, Any]) -> str:
        request = record["request"]
        return f"{request['model']['name']} on {request['dataset']['name']}: {setting(found, record)}"

    def _figure(self, name: str) -> Figure:
        """How far a measure is above its null by set and way, with its interval; a panel for each model."""
        import altair as alt

        rows = []
        for (model, texts), found in self._runs.items():
            for way in self._ways:
                value = scores.against_null(found, way, name)
                if value.known:
                    numbers = {"value": value.value, "low": value.low, "high": value.high}
                    rows.append({"model": model, "texts": texts, "way": way} | numbers)
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            y=alt.Y("texts:N", sort=self._sets, title=None),
            yOffset=alt.YOffset("way:N", sort=self._ways),
            color=coloured("way", colours_of(self._ways), self._ways),
            tooltip=["model:N", "texts:N", "way:N", alt.Tooltip("value:Q", format=".3f")],
        )
        above = f"{name}, above {scores.null_of(name)}"
        points = base.mark_point(filled=True, size=50).encode(x=alt.X("value:Q", title=above))
        bars = base.mark_rule().encode(x="low:Q", x2="high:Q")
        # Not a grid of panels: Vega-Lite puts numbers into wrong ones where a set is missing for one of the models.
        height = 16 * len(self._ways) * len(self._sets)
        panels = (bars + points).properties(width=280, height=height).facet(
            column=alt.Column("model:N", sort=self._models, title=None), spacing=12
        )  # fmt: skip
        says = f"{above}, with its interval, by set of texts and method, for {', '.join(self._models)}."
        return Figure(file_name(name), above, panels.properties(background="transparent").to_dict(), says)


def _accuracy(setting: str) -> Callable[[Compared], Value]:
    return lambda found: scores.accuracy(found, PUBLISHED_WAY, setting)


def _recovery(way: str, part: int) -> Callable[[Compared], Value]:
    return lambda found: scores.recovery(found, way)[part]


def _measured(way: str, name: str) -> Callable[[Compared], Value]:
    return lambda found: scores.measure(found, way, name)


def _rates(way: str) -> Callable[[Compared], Value]:
    return lambda found: rates(found, way)


def _losses(way: str) -> Callable[[Compared], Value]:
    return lambda found: losses(found, way)


def _published(value: float | None, kind: Kind) -> Value:
    """As the other values of the table: shares are published in percent, learning rates are text here."""
    if value is None:
        return None
    return value / 100 if kind == "share" else f"{value:g}" if kind == "text" else value


def _is_known(value: Value) -> bool:
    return value.known if isinstance(value, Estimate) else value not in (None, "")


def _above(gains: Sequence[Estimate]) -> str:
    known = [gain for gain in gains if gain.known]
    return f"on {sum(gain.low > 0 for gain in known)} of {len(known)} sets"
