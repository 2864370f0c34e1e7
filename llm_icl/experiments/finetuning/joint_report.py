"""Several comparisons of in-context learning with finetuning, in the tables of Dai et al. 2023: a column for each set
of texts, and what they published beside.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tabulate import tabulate

from llm_icl.analysis.intervals import Estimate
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.comparison import LAYER_CAUSAL, PUBLISHED_WAY, UNTRAINED, Compared
from llm_icl.experiments.finetuning.published import MODELS, PUBLISHED
from llm_icl.experiments.finetuning.report import NOTES, losses, rates, setting
from llm_icl.reports.charts import COLOURS
from llm_icl.reports.estimates import number, share
from llm_icl.reports.html import page

Table = tuple[list[str], list[list[str]]]

_TITLE = "In-context learning against finetuning"
# The measures that have a table of their own.
_MEASURES = ("SimAOU", "SimAOU at a label", "SimAM", "SimAM of changes", "SimAM of changes, after softmax", "Kendall",
             "Kendall, as published", "top tokens")  # fmt: skip
# Of the ways, one for each model that was finetuned.
_MODELS = (PUBLISHED_WAY, UNTRAINED)
_DRAWN = ("SimAOU", "SimAM of changes, after softmax", "Kendall")

_Shown = Callable[[Compared], str]


class _Row(NamedTuple):
    """What a row is called, how it is read off a comparison, its name among the published figures and their form."""

    words: str
    shown: _Shown
    published: str = ""
    form: str = ".3f"


class JointReport:
    """`runs` are comparisons with their records. Raises RequestError where two of them are of the same."""

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
        self._records = list(runs)

    def tables(self) -> dict[str, Table]:
        accuracy = [_Row(words, _accuracy(key), key, ".1f") for key, words in scores.SETTINGS.items()]
        recovery = [
            _Row(way, _recovery(way, 0), "Rec2FTP" if way == PUBLISHED_WAY else "", ".1f") for way in self._ways
        ]
        recovery += [_Row(f"null of {way}", _recovery(way, 1)) for way in self._ways]
        tables = {"Accuracy, in percent": self._table(accuracy), "Rec2FTP, in percent": self._table(recovery)}
        for name in _MEASURES:
            rows = [_Row(way, _measure(way, name), name if way == PUBLISHED_WAY else "") for way in self._ways]
            if name in scores.NULLS:
                null, words = scores.NULLS[name]
                rows += [_Row(f"null of {way}", _measure(way, null), null if way == PUBLISHED_WAY else "")
                         for way in self._ways if words == scores.CHANCE or way in _MODELS]  # fmt: skip
            tables[name] = self._table(rows)
        given = [_Row(way, _rates(way), "rate" if way == PUBLISHED_WAY else "", "g") for way in self._ways]
        learned = [_Row(way, _losses(way)) for way in self._ways]
        return tables | {"Rate": self._table(given), "Loss": self._table(learned)}

    def sentences(self) -> list[str]:
        """On how many sets each model's likeness is above chance, and above each control."""
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

    def markdown(self, command: str) -> str:
        parts = [f"# {_TITLE}", "", *(f"- {line}" for line in self.sentences()), ""]
        for title, (headers, rows) in self.tables().items():
            parts += [f"## {title}", "", tabulate(rows, headers, tablefmt="github", disable_numparse=True), ""]
        parts += ["## How to read this", "", *(f"- {note}" for note in NOTES), "", "## How it was made", ""]
        parts += [f"    {command}", *(f"    {record['command']}" for _, record in self._records), ""]
        parts += [f"- {self._about(found, record)}" for found, record in self._records]
        return "\n".join([*parts, ""])

    def html(self, command: str) -> str:
        return page(
            "finetuning.html.jinja",
            {f"figure-{i}": self._figure(name) for i, name in enumerate(_DRAWN)},
            title=_TITLE,
            setting=f"{', '.join(self._models)} on {', '.join(self._sets)}",
            sentences=self.sentences(),
            tables=self.tables(),
            heading="By set of texts",
            drawn=_DRAWN,
            notes=[*NOTES, *(self._about(found, record) for found, record in self._records)],
            commands=[command, *(record["command"] for _, record in self._records)],
        )

    @property
    def _ways(self) -> list[str]:
        return list(dict.fromkeys(way for found in self._runs.values() for way in scores.ways(found)))

    def _about(self, found: Compared, record: dict[str, Any]) -> str:
        request = record["request"]
        return f"{request['model']['name']} on {request['dataset']['name']}: {setting(found, record)}"

    def _table(self, rows: Sequence[_Row]) -> Table:
        """Each row for each model; and once with what was published, where there is something."""
        written = []
        for model in self._models:
            for row in rows:
                runs = [self._runs.get((model, name)) for name in self._sets]
                written.append([f"{model}, {row.words}", *("" if run is None else row.shown(run) for run in runs)])
        for model in MODELS:
            for row in rows:
                values = [PUBLISHED.get(name, {}).get(model, {}).get(row.published) for name in self._sets]
                label = f"published, {model}" + (f", {row.words}" if row.words != PUBLISHED_WAY else "")
                written.append([label, *("" if value is None else f"{value:{row.form}}" for value in values)])
        return ["", *self._sets], [row for row in written if any(row[1:])]

    def _figure(self, name: str) -> dict[str, Any]:
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
            color=alt.Color("way:N", scale=alt.Scale(domain=self._ways, range=list(COLOURS[: len(self._ways)])),
                            legend=alt.Legend(title=None, orient="bottom", labelLimit=260)),
            tooltip=["model:N", "texts:N", "way:N", alt.Tooltip("value:Q", format=".3f")],
        )  # fmt: skip
        x = alt.X("value:Q", title=f"{name}, above {scores.null_of(name)}")
        points, bars = (
            base.mark_point(filled=True, size=50).encode(x=x),
            base.mark_rule().encode(x="low:Q", x2="high:Q"),
        )
        # Not a grid of panels: Vega-Lite puts numbers into wrong ones where a set is missing for one of the models.
        height = 16 * len(self._ways) * len(self._sets)
        panels = (bars + points).properties(width=280, height=height).facet(
            column=alt.Column("model:N", sort=self._models, title=None), spacing=12
        )  # fmt: skip
        specification: dict[str, Any] = panels.properties(background="transparent").to_dict()
        return specification


def _accuracy(setting: str) -> _Shown:
    return lambda found: share(scores.accuracy(found, PUBLISHED_WAY, setting))


def _recovery(way: str, part: int) -> _Shown:
    return lambda found: share(scores.recovery(found, way)[part])


def _measure(way: str, name: str) -> _Shown:
    return lambda found: number(scores.measure(found, way, name))


def _rates(way: str) -> _Shown:
    return lambda found: rates(found, way)


def _losses(way: str) -> _Shown:
    return lambda found: losses(found, way)


def _above(gains: Sequence[Estimate]) -> str:
    known = [gain for gain in gains if gain.known]
    return f"on {sum(gain.low > 0 for gain in known)} of {len(known)} sets"
