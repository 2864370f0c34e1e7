"""Several comparisons of in-context learning with finetuning, in the tables of Dai et al. 2023: a column for each set
of texts, next to the published figures.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from llm_icl.analysis.intervals import Estimate
from llm_icl.config.files import file_name
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import CONTROLLED, MEASURES, SIMAOU, SIMILARITIES, Measure
from llm_icl.experiments.finetuning.methods import CONTROLS, LAYER_CAUSAL, PUBLISHED_METHOD, UNTRAINED
from llm_icl.experiments.finetuning.published import LEARNING_RATE, MODELS, PUBLISHED, RECOVERY
from llm_icl.experiments.finetuning.setting import NOTES, losses, rates, setting
from llm_icl.reports.charts import coloured, colours_of
from llm_icl.reports.document import Column, Figure, Provenance, Report, Row, Section, Table
from llm_icl.reports.values import Kind, Value

# The methods whose nulls before finetuning differ: one for each model.
_MODELS = (PUBLISHED_METHOD, UNTRAINED)


class _Line(NamedTuple):
    """A row's name, how its values follow from a comparison, and its key among the published figures."""

    name: str
    value: Callable[[Compared], Value]
    published: str = ""


def joint_report(runs: Sequence[tuple[Compared, dict[str, Any]]]) -> Report:
    """Of comparisons with their records. Raises RequestError where two are of the same model and texts."""
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
        self._methods = list(dict.fromkeys(method for found in self._runs.values() for method in scores.methods(found)))
        self._records = list(runs)

    def report(self) -> Report:
        sections = (
            Section("Accuracy", "accuracy", (self._accuracy(), self._recovery())),
            Section("Similarity", "similarity", tuple(map(self._measure, SIMILARITIES))),
            Section(
                "Above the null, by set of texts",
                "above-null",
                tuple(self._figure(measure) for measure in MEASURES if measure.drawn and measure.null),
            ),
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
        lines = [_Line(name, _accuracy(key), key) for key, name in scores.SETTINGS.items()]
        return self._table("accuracies", "Accuracy, in percent", lines, "share")

    def _recovery(self) -> Table:
        lines = [_Line(method, _recovery(method, 0), _published_key(method, RECOVERY)) for method in self._methods]
        lines += [_Line(f"null of {method}", _recovery(method, 1)) for method in self._methods]
        return self._table(RECOVERY, "Rec2FTP, in percent", lines, "share")

    def _measure(self, measure: Measure) -> Table:
        lines = self._lines(measure, self._methods, "")
        if null := measure.null:
            of = [method for method in self._methods if null.comparand != "model" or method in _MODELS]
            lines += self._lines(null, of, "null of ")
        return self._table(measure.name, measure.name, lines, "number")

    def _lines(self, measure: Measure, methods: Sequence[str], prefix: str) -> list[_Line]:
        key = measure.published
        return [_Line(prefix + method, _value(method, measure), _published_key(method, key)) for method in methods]

    def _finetuning(self) -> tuple[Table, Table]:
        chosen = [_Line(method, _rates(method), _published_key(method, LEARNING_RATE)) for method in self._methods]
        trained = [_Line(method, _losses(method)) for method in self._methods]
        return self._table("rate", "Learning rate", chosen, "text"), self._table("loss", "Loss", trained, "text")

    def _table(self, key: str, caption: str, lines: Sequence[_Line], kind: Kind) -> Table:
        """Each line for each model, and for the published models where there are figures."""
        rows: list[Row] = []
        for model in self._models:
            for line in lines:
                runs = {name: self._runs.get((model, name)) for name in self._sets}
                values = {name: None if run is None else line.value(run) for name, run in runs.items()}
                rows.append({"row": f"{model}, {line.name}", **values})
        for model in MODELS:
            for line in lines:
                known = {name: PUBLISHED.get(name, {}).get(model, {}).get(line.published) for name in self._sets}
                label = f"published, {model}" + (f", {line.name}" if line.name != PUBLISHED_METHOD else "")
                rows.append({"row": label, **{name: _published(value, kind) for name, value in known.items()}})
        columns = (Column("model and method", "row"), *(Column(name, name, kind) for name in self._sets))
        return Table(key, caption, columns, tuple(row for row in rows if any(_is_known(row[s]) for s in self._sets)))

    def _sentences(self) -> list[str]:
        """The number of sets on which each model's similarity is above its null, and above each control."""
        sentences = []
        for model in self._models:
            own = [found for (name, _), found in self._runs.items() if name == model]
            for measure in CONTROLLED:
                parts = [(measure.null_name, [scores.against_null(found, PUBLISHED_METHOD, measure) for found in own])]
                for control, name in CONTROLS.items():
                    gains = [scores.difference(found, measure, PUBLISHED_METHOD, control) for found in own]
                    parts.append((name, gains))
                counts = [f"above {name} {_above(gains)}" for name, gains in parts if any(g.known for g in gains)]
                if counts:
                    sentences.append(f"{model}: {measure.name} of gradient descent is {', '.join(counts)}.")
            better = [scores.difference(found, SIMAOU, LAYER_CAUSAL, PUBLISHED_METHOD) for found in own]
            if any(gain.known for gain in better):
                sentences.append(
                    f"{model}: {SIMAOU.name} of layer-causal gradient descent is above that of gradient descent "
                    f"{_above(better)}."
                )
        return sentences

    def _about(self, found: Compared, record: dict[str, Any]) -> str:
        request = record["request"]
        return f"{request['model']['name']} on {request['dataset']['name']}: {setting(found, record)}"

    def _figure(self, measure: Measure) -> Figure:
        """A measure minus its null by set and method, with its interval; a panel for each model."""
        import altair as alt

        rows = []
        for (model, texts), found in self._runs.items():
            for method in self._methods:
                value = scores.against_null(found, method, measure)
                if value.known:
                    interval = {} if math.isnan(value.low) else {"low": value.low, "high": value.high}
                    rows.append({"model": model, "texts": texts, "method": method, "value": value.value} | interval)
        base = alt.Chart(alt.InlineData(values=rows)).encode(
            y=alt.Y("texts:N", sort=self._sets, title=None),
            yOffset=alt.YOffset("method:N", sort=self._methods),
            color=coloured("method", colours_of(self._methods), self._methods),
            tooltip=["model:N", "texts:N", "method:N", alt.Tooltip("value:Q", format=".3f")],
        )
        above = f"{measure.name}, above {measure.null_name}"
        points = base.mark_point(filled=True, size=50).encode(x=alt.X("value:Q", title=above))
        bars = base.mark_rule().encode(x="low:Q", x2="high:Q")
        # Not a grid of panels: Vega-Lite mixes them up where a set is missing for one of the models.
        height = 16 * len(self._methods) * len(self._sets)
        panels = (bars + points).properties(width=280, height=height).facet(
            column=alt.Column("model:N", sort=self._models, title=None), spacing=12
        )  # fmt: skip
        says = f"{above}, with its interval, by set of texts and method, for {', '.join(self._models)}."
        return Figure(file_name(measure.name), above, panels.properties(background="transparent").to_dict(), says)


def _accuracy(setting: str) -> Callable[[Compared], Value]:
    return lambda found: scores.accuracy(found, PUBLISHED_METHOD, setting)


def _recovery(method: str, part: int) -> Callable[[Compared], Value]:
    return lambda found: scores.recovery(found, method)[part]


def _value(method: str, measure: Measure) -> Callable[[Compared], Value]:
    return lambda found: scores.estimate(found, method, measure)


def _rates(method: str) -> Callable[[Compared], Value]:
    return lambda found: rates(found, method)


def _losses(method: str) -> Callable[[Compared], Value]:
    return lambda found: losses(found, method)


def _published_key(method: str, key: str) -> str:
    """Figures were published for one method only."""
    return key if method == PUBLISHED_METHOD else ""


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
