"""Several comparisons of in-context learning with finetuning: a matrix of measures and sets of texts, and the tables of
Dai et al. 2023 with a column for each set, next to the published figures.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from llm_icl.analysis.comparisons import Judgement, Outcome
from llm_icl.analysis.effects import Effect, correction, shown
from llm_icl.analysis.intervals import FEWEST_SEEDS, Estimate
from llm_icl.config.files import file_name
from llm_icl.config.specs import counted
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import scores
from llm_icl.experiments.finetuning.cards import card_of
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.effects import RECOVERY as REC2FTP
from llm_icl.experiments.finetuning.effects import SYMBOLS, effects, gains
from llm_icl.experiments.finetuning.measures import (
    CONTROLLED,
    KENDALL_PUBLISHED,
    ORDER_MEASURES,
    SIMAM_BEFORE,
    SIMILARITIES,
    Measure,
)
from llm_icl.experiments.finetuning.methods import CONTROLS, ORDER, PUBLISHED_METHOD, RANDOM
from llm_icl.experiments.finetuning.published import LEARNING_RATE, MODELS, PUBLISHED, RECOVERY
from llm_icl.experiments.finetuning.setting import NOTES, losses, rates, scales, setting
from llm_icl.experiments.provenance import provenance_of
from llm_icl.reports.charts import Axis, Point, dots
from llm_icl.reports.colours import colours_of
from llm_icl.reports.document import Card, Column, Figure, Report, Row, Section, Table
from llm_icl.reports.values import Kind, Value, written

# The measures that have a table of their own.
_TABLES = (*SIMILARITIES, SIMAM_BEFORE, KENDALL_PUBLISHED)


# A model and a set of texts, a measure, and what it is compared with.
_Place = tuple[tuple[str, str], str, str]


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
        # What all comparisons of the report show, corrected for all of them.
        self._effects: dict[_Place, Effect] = {
            (key, measure, against): effect
            for key, found in self._runs.items()
            for (measure, against), effect in effects(found).items()
        }
        self._told = shown(self._effects)
        self._gained = gains(self._runs)

    def report(self) -> Report:
        figures = tuple(filter(None, (self._figure(measure) for measure in SIMILARITIES if measure.drawn)))
        sections = (
            Section("Gain", "gain", (self._accuracy(), self._gains())),
            Section("Similarity", "similarity", (*self._matrices(), *figures)),
            Section("By update", "by-update", (self._recovery(), *map(self._measure, _TABLES))),
            Section("Updates", "updates", self._updates()),
        )
        return Report(
            "In-context learning against finetuning",
            f"{', '.join(self._models)} on {', '.join(self._sets)}.",
            tuple(self._sentences()),
            sections,
            (*NOTES, *(self._about(found, record) for found, record in self._records)),
            tuple(provenance_of(record) for _, record in self._records),
            self._cards(),
        )

    def _accuracy(self) -> Table:
        lines = [_Line(name, _accuracy(key), key) for key, name in scores.SETTINGS.items()]
        return self._table("accuracies", "Accuracy, in percent", lines, "share")

    def _gains(self) -> Table:
        lines = [_Line(scores.SETTINGS[key], _gain(key)) for key in ("icl", "ft")]
        return self._table("gains", "Gain over no demonstrations, in points", lines, "points")

    def _matrices(self) -> tuple[Table, ...]:
        """What each measure shows, as signs and as differences: a row for each model and measure, a column for each
        set.
        """
        signs = {place: SYMBOLS[told.outcome] for place, told in self._told.items()}
        differences = {place: effect.estimate() for place, effect in self._effects.items()}
        random = {place for place in self._told if place[2] == RANDOM}
        return (
            self._matrix("matrix", f"Similarity with in-context learning against {RANDOM}", signs, random),
            self._matrix(
                "controls", "Similarity above random updates against the controls", signs, signs.keys() - random
            ),
            self._matrix("differences", "The same as differences", differences, differences.keys()),
        )

    def _matrix(self, key: str, caption: str, cells: Mapping[_Place, Value], shown: Collection[_Place]) -> Table:
        rows: list[Row] = []
        for model in self._models:
            for measure, against in dict.fromkeys((place[1], place[2]) for place in cells if place in shown):
                values = {name: cells.get(((model, name), measure, against)) for name in self._sets}
                if any(value is not None for value in values.values()):
                    rows.append({"row": f"{model}, {measure}", "against": against, **values})
        signs = key != "differences"
        columns = (
            Column("model and measure", "row", short=signs),
            Column("against", "against", short=signs and key != "matrix"),
            *(Column(name, name, "text" if signs else "number", signs) for name in self._sets),
        )
        return Table(key, caption, columns, tuple(rows))

    def _recovery(self) -> Table:
        lines = [_Line(method, _recovery(method), _published_key(method, RECOVERY)) for method in self._methods]
        return self._table(RECOVERY, "Rec2FTP, in percent", lines, "share")

    def _measure(self, measure: Measure) -> Table:
        lines = [_Line(one, _value(one, measure), _published_key(one, measure.published)) for one in self._methods]
        return self._table(measure.name, measure.name, lines, "number")

    def _updates(self) -> tuple[Table, ...]:
        chosen = [_Line(method, _rates(method), _published_key(method, LEARNING_RATE)) for method in self._methods]
        trained = [_Line(method, _losses(method)) for method in self._methods]
        scaled = [_Line(method, _scales(method)) for method in self._methods]
        changed = [_Line(scores.SETTINGS[key], _changed(key)) for key in ("icl", "ft")]
        alike = [_Line(measure.name, _value(ORDER, measure)) for measure in ORDER_MEASURES]
        return (
            self._table("rate", "Learning rate", chosen, "text"),
            self._table("loss", "Loss of the demonstrations, before and after", trained, "text"),
            self._table("scale", "Factor that makes the update as long as gradient descent's", scaled, "text"),
            self._table("order", "Answers that another order changes, in percent", changed, "share"),
            self._table("order_cosine", "Cosine of updates in two orders", alike, "number"),
        )

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

    def _cards(self) -> tuple[Card, ...]:
        corrected = correction(self._told)
        return tuple(
            card_of(model, own, self._told_of(model), {name: self._gained[model, name] for name in own}, corrected)
            for model, own in self._by_model().items()
        )

    def _by_model(self) -> dict[str, dict[str, Compared]]:
        """Each model's comparisons by their sets."""
        return {
            model: {name: self._runs[model, name] for name in self._sets if (model, name) in self._runs}
            for model in self._models
        }

    def _told_of(self, model: str) -> dict[str, dict[tuple[str, str], Judgement]]:
        """What is shown on each set, by measure and what it is compared with."""
        found: dict[str, dict[tuple[str, str], Judgement]] = {}
        for ((name, texts), measure, against), told in self._told.items():
            if name == model:
                found.setdefault(texts, {})[measure, against] = told
        return found

    def _sentences(self) -> list[str]:
        """What each model's measures show on how many sets."""
        sentences = []
        for model, own in self._by_model().items():
            told = [name for name, found in own.items() if scores.seeds(found) >= FEWEST_SEEDS]
            if few := [name for name in own if name not in told]:
                sentences.append(
                    f"{model}: fewer than {FEWEST_SEEDS} draws of demonstrations on {', '.join(few)}: no conclusion "
                    "about similarity there."
                )
            for measure in (REC2FTP, *(measure.name for measure in CONTROLLED)) if told else ():
                sentences.append(f"{model}: {self._sentence(model, measure, told)}")
        return sentences

    def _sentence(self, model: str, measure: str, sets: Sequence[str]) -> str:
        """On how many sets a measure is above random updates, and how similar the controls are where it is."""
        shown = {name: self._told[(model, name), measure, RANDOM].outcome for name in sets}
        words: dict[Outcome, str] = {
            "above": "above random updates", "below": "below them", "equivalent": "the same", "identical": "identical",
            "too few": "too few draws to tell", "no data": "nothing to compare it with",
        }  # fmt: skip
        parts = [f"{measure} of gradient descent: {_counts(words, shown.values())}"]
        above = [name for name, outcome in shown.items() if outcome == "above"]
        words = {
            "above": "less similar", "below": "more similar", "equivalent": "as similar", "identical": "as similar",
            "too few": "not told from it", "no data": "not measured",
        }  # fmt: skip
        for control, name in CONTROLS.items():
            told = [self._told.get(((model, texts), measure, control)) for texts in above]
            if outcomes := [one.outcome for one in told if one]:
                where = "where it is above, " if len(parts) == 1 else ""
                parts.append(f"{where}{name} is {_counts(words, outcomes)}")
        return f"{'; '.join(parts)}."

    def _about(self, found: Compared, record: dict[str, Any]) -> str:
        request = record["request"]
        about = " ".join([setting(found, record), *(f"{remark}." for remark in record.get("remarks", ()))])
        return f"{request['model']['name']} on {request['dataset']['name']}: {about}"

    def _figure(self, measure: Measure) -> Figure | None:
        """A measure above random updates by set and method, with its interval; a panel for each model. None where
        nothing was measured.
        """
        compared = [name for name in (PUBLISHED_METHOD, *CONTROLS) if name in self._methods]
        rows: dict[str, dict[str, Point]] = {}
        for texts in self._sets:
            for model in self._models:
                found = self._runs.get((model, texts))
                for method in compared:
                    if found and method in scores.methods(found):
                        value = scores.mean(scores.excess(found, method, measure))
                        if math.isnan(value.value):
                            continue
                        said = written(value, "number")
                        row = rows.setdefault(f"{model}\n{texts}", {})
                        row[method] = Point(0, value.value, said, value.low, value.high)
        if not rows:
            return None
        above = f"{measure.name}, above {RANDOM}"
        says = f"{above}, with its interval, by set of texts and method, for {', '.join(self._models)}."
        name = file_name(measure.name)
        return dots(name, above, rows, Axis(f"above {RANDOM}"), colours_of(compared), says, groups=self._models)


def _accuracy(setting: str) -> Callable[[Compared], Value]:
    return lambda found: scores.accuracy(found, PUBLISHED_METHOD, setting)


def _gain(setting: str) -> Callable[[Compared], Value]:
    return lambda found: scores.gain(found, setting)


def _recovery(method: str) -> Callable[[Compared], Value]:
    return _of(method, lambda found: scores.recovery(found, method))


def _value(method: str, measure: Measure) -> Callable[[Compared], Value]:
    return _of(method, lambda found: scores.estimate(found, method, measure))


def _changed(setting: str) -> Callable[[Compared], Value]:
    return _of(ORDER, lambda found: scores.changed_answers(found, ORDER, setting))


def _rates(method: str) -> Callable[[Compared], Value]:
    return lambda found: rates(found, method)


def _losses(method: str) -> Callable[[Compared], Value]:
    return lambda found: losses(found, method)


def _scales(method: str) -> Callable[[Compared], Value]:
    return lambda found: scales(found, method)


def _of(method: str, value: Callable[[Compared], Value]) -> Callable[[Compared], Value]:
    """None of a comparison without the method."""
    return lambda found: value(found) if method in scores.methods(found) else None


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


def _counts(words: Mapping[Outcome, str], outcomes: Collection[Outcome]) -> str:
    """Each word with the number of sets."""
    counts = {word: sum(words[outcome] == word for outcome in outcomes) for word in dict.fromkeys(words.values())}
    return ", ".join(f"{word} on {counted(count, 'set')}" for word, count in counts.items() if count)
