"""In-context learning against finetuning on one set of texts: seeds, rates, controls, and what is measured."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from llm_icl.backends.base import ModelEntry
from llm_icl.config.files import atomic_path, write_text
from llm_icl.config.specs import counted
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.descent import applied, finetune
from llm_icl.experiments.finetuning.layer_causal import LayerCausal
from llm_icl.experiments.finetuning.projections import Layer, attention_layers
from llm_icl.experiments.finetuning.reader import Reader, load_reader
from llm_icl.experiments.finetuning.study import Findings, Finetuning, finite, study
from llm_icl.experiments.finetuning.text_tasks import Example, Splits, TextTask, shuffled
from llm_icl.progress import OnProgress
from llm_icl.runs.versions import versions

# The ways of finetuning that are compared. The first is the published one, the second an alternative; the others are
# controls: what they share with learning in context is not due to the same examples being learned.
PUBLISHED_WAY, LAYER_CAUSAL = "gradient descent", "layer-causal gradient descent"
OTHER, SHUFFLED, UNTRAINED = "other demonstrations", "shuffled labels", "untrained model"

# Texts on which seeds and rates are tried; neither demonstrated nor evaluated on.
_TRIED = 50
_TRIED_ORDER, _EVALUATION_ORDER = 0, 1


@dataclass(frozen=True)
class ComparisonRequest:
    """What is compared. With `choose_on` "evaluation" the rate is chosen on the very examples that are reported, as in
    the paper; with "training" on others. With `best_seed` the seed is chosen there too, and only that one is reported.
    With `cut`, where not all demonstrations fit the context, both settings have as many as fit.
    """

    model: ModelEntry
    task: TextTask
    splits: Splits
    seeds: tuple[int, ...]
    demonstrations: int
    examples: int
    rates: tuple[float, ...]
    choose_on: str
    separator: str
    controls: bool
    best_seed: bool = False
    cut: bool = False

    def record(self) -> dict[str, Any]:
        texts = repr((self.splits.training, self.splits.evaluation)).encode()
        return {
            "model": self.model.record(),
            "dataset": dataclasses.asdict(self.task) | {"labels": list(self.task.labels)},
            "texts": hashlib.sha256(texts).hexdigest(),
            "seeds": list(self.seeds),
            "demonstrations": self.demonstrations,
            "examples": self.examples,
            "rates": list(self.rates),
            "choose_on": self.choose_on,
            "separator": self.separator,
            "controls": self.controls,
            "best_seed": self.best_seed,
            "cut": self.cut,
            "versions": {"llm-icl": versions()["llm-icl"]},
        }

    @property
    def evaluation(self) -> list[Example]:
        return shuffled(self.splits.evaluation, _EVALUATION_ORDER)[: self.examples]

    def drawn(self, seed: int) -> tuple[list[Example], list[Example]]:
        """The demonstrations of a seed, and as many others."""
        order, count = shuffled(self.splits.training, seed), self.demonstrations
        return order[:count], order[count : 2 * count]

    @property
    def tried(self) -> list[Example]:
        """The texts on which seeds and rates are tried: no seed demonstrates them, and none is reported."""
        if self.choose_on == "evaluation":
            return self.evaluation
        number = range(len(self.splits.training))
        used = {i for seed in self.seeds for i in shuffled(number, seed)[: 2 * self.demonstrations]}
        return [self.splits.training[i] for i in shuffled(number, _TRIED_ORDER) if i not in used][:_TRIED]


@dataclass(frozen=True)
class Compared:
    """answers: a row for each way, seed and example, with the label and those of the three settings. measures: a row
    for each way, seed, example and measure, averaged over layers; layers: one for each way, layer and measure, averaged
    over examples and seeds. rates: the rate of each way and seed, chosen from those that were tried. demonstrations:
    how many each seed had. kept_labels: the share of them whose label shuffling left as it was. losses: the mean loss
    of the demonstrations that were learned, in nats a token, before finetuning and during it.
    """

    answers: pl.DataFrame
    measures: pl.DataFrame
    layers: pl.DataFrame
    rates: dict[str, dict[int, float]]
    tried_rates: tuple[float, ...]
    demonstrations: dict[int, int]
    kept_labels: dict[int, float]
    losses: dict[str, dict[int, tuple[float, float]]]


# The findings of each way, with its rate; and what makes them for a seed, knowing the rates so far.
_Part = dict[str, tuple[Findings, float]]
_Work = Callable[[ComparisonRequest, int, Mapping[str, Mapping[int, float]], OnProgress], _Part]


def check(request: ComparisonRequest) -> None:
    """Raise RequestError where there are too few texts for what is asked."""
    there = len(request.splits.training)
    few = request.choose_on == "training" and len(request.tried) < _TRIED
    if few or 2 * request.demonstrations > there:
        raise RequestError(
            f"dataset '{request.task.name}' has {there} texts to demonstrate with, too few for "
            f"{counted(len(request.seeds), 'seed')} with {counted(request.demonstrations, 'demonstration')}, as many "
            f"for a control, and {_TRIED} to try rates on"
        )


def compare(request: ComparisonRequest, parts: Path, on_progress: OnProgress, kept: Callable[[], None]) -> Compared:
    """Carry it out, seed by seed; a seed whose part is in the folder is done. `kept` is told of each part.

    Raises RequestError where the model or the texts do not fit.
    """
    kinds: dict[str, _Work] = {"trained": _trained} | ({"untrained": _untrained} if request.controls else {})
    seeds = (_best_seed(request, parts / "seed", on_progress),) if request.best_seed else request.seeds
    works = [(name, work, seed) for name, work in kinds.items() for seed in seeds]
    found: list[tuple[str, int, Findings]] = []
    rates: dict[str, dict[int, float]] = {}
    for name, work, seed in works:
        path = parts / f"{name}-{seed}.npz"
        if not path.is_file():
            _save(path, work(request, seed, rates, on_progress))
            kept()
        for way, (findings, rate) in _load(path).items():
            found.append((way, seed, findings))
            rates.setdefault(way, {})[seed] = rate
    demonstrations = {seed: len(findings.losses) for _, seed, findings in found}
    losses: dict[str, dict[int, tuple[float, float]]] = {}
    for way, seed, findings in found:
        before, during = (float(np.mean(some)) for some in (findings.losses_before, findings.losses))
        losses.setdefault(way, {})[seed] = (before, during)
    kept_labels = {
        seed: _kept_labels(request.drawn(seed)[0][:count], seed)
        for seed, count in demonstrations.items()
        if request.controls
    }
    return Compared(*_tables(found), rates, request.rates, demonstrations, kept_labels, losses)


def _trained(
    request: ComparisonRequest, seed: int, _: Mapping[str, Mapping[int, float]], on_progress: OnProgress
) -> _Part:
    reader = load_reader(request.model, request.task, request.separator)
    layers = attention_layers(reader.model)
    demonstrations, others = _fitting(request, reader, seed)
    best = best_rate(reader, layers, demonstrations, request.tried, request.rates, on_progress)
    ways = {PUBLISHED_WAY: best}
    on_progress(LAYER_CAUSAL, 0, 1)
    if causal := _layer_causal(reader, layers, best, request.rates):
        ways[LAYER_CAUSAL] = causal
    if request.controls:
        ways[OTHER] = Finetuning(others, best.rate)
        ways[SHUFFLED] = Finetuning(_with_shuffled_labels(demonstrations, seed), best.rate)
    studied = study(reader, layers, demonstrations, request.evaluation, ways, on_progress, seed)
    return {way: (findings, ways[way].rate) for way, findings in studied.items()}


def _layer_causal(
    reader: Reader, layers: Sequence[Layer], best: Finetuning, rates: Sequence[float]
) -> Finetuning | None:
    """At gradient descent's rate, as Deutch et al. have it; where that is too great for it, at the next smaller one.
    None where the model's read-out is not known: the report says so.
    """
    try:
        backward = LayerCausal(reader.model, layers)
    except RequestError:
        return None
    for rate in sorted((rate for rate in rates if rate <= best.rate), reverse=True):
        with suppress(FloatingPointError):
            made = finetune(reader, layers, best.demonstrations, rate, backward)
            return Finetuning(best.demonstrations, rate, backward, made)
    raise RequestError(f"{LAYER_CAUSAL}: all rates are too great: give smaller --rates")


def _untrained(
    request: ComparisonRequest, seed: int, rates: Mapping[str, Mapping[int, float]], on_progress: OnProgress
) -> _Part:
    """A model of the same architecture with random weights, finetuned at the rate that was chosen for the trained."""
    reader = load_reader(request.model, request.task, request.separator, random=seed)
    demonstrations, _ = _fitting(request, reader, seed)
    ways = {UNTRAINED: Finetuning(demonstrations, rates[PUBLISHED_WAY][seed])}
    studied = study(reader, attention_layers(reader.model), demonstrations, request.evaluation, ways, on_progress, seed)
    return {way: (findings, ways[way].rate) for way, findings in studied.items()}


def _save(path: Path, part: _Part) -> None:
    about = {
        way: {"rate": rate, "losses": findings.losses, "losses_before": findings.losses_before}
        for way, (findings, rate) in part.items()
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for way, (findings, _) in part.items():
        arrays[f"{way}/labels"] = findings.labels
        arrays |= {f"{way}/predictions/{name}": values for name, values in findings.predictions.items()}
        arrays |= {f"{way}/layers/{name}": values for name, values in findings.layers.items()}
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)


def _load(path: Path) -> _Part:
    part: _Part = {}
    with np.load(path) as file:
        for way, about in json.loads(str(file["about"])).items():
            some = {
                kind: {
                    name.removeprefix(f"{way}/{kind}/"): file[name]
                    for name in file.files
                    if name.startswith(f"{way}/{kind}/")
                }
                for kind in ("predictions", "layers")
            }
            labels, losses = file[f"{way}/labels"], (about["losses"], about["losses_before"])
            findings = Findings(labels, some["predictions"], some["layers"], *losses)
            part[way] = (findings, about["rate"])
    return part


def _fitting(request: ComparisonRequest, reader: Reader, seed: int) -> tuple[list[Example], list[Example]]:
    """The demonstrations of a seed and as many others: all, or with `cut` as many as fit the context."""
    demonstrations, others = request.drawn(seed)
    count = reader.fitting(demonstrations, [*request.evaluation, *request.tried])
    if not count:
        raise RequestError(f"not one demonstration of '{request.task.name}' fits the context with every query")
    if count < len(demonstrations) and not request.cut:
        raise RequestError(
            f"only {count} of the {len(demonstrations)} demonstrations of '{request.task.name}' fit the context of "
            f"{reader.limit} tokens with every query: give fewer --demonstrations, or --too-many cut"
        )
    return demonstrations[:count], others[:count]


def _best_seed(request: ComparisonRequest, path: Path, on_progress: OnProgress) -> int:
    """The seed whose demonstrations answer most of the tried texts right in context; of several, the first."""
    if not path.is_file():
        reader = load_reader(request.model, request.task, request.separator)
        right = []
        for number, seed in enumerate(request.seeds):
            on_progress("in context: seeds", number, len(request.seeds))
            context = reader.read(_fitting(request, reader, seed)[0])
            with finite("in context"):
                right.append(sum(reader.answer(context, example).label == example.label for example in request.tried))
        write_text(path, str(request.seeds[int(np.argmax(right))]))
    return int(path.read_text(encoding="utf-8"))


def _with_shuffled_labels(examples: Sequence[Example], seed: int) -> list[Example]:
    order = np.random.default_rng([seed, 1]).permutation(len(examples))
    return [dataclasses.replace(example, label=examples[i].label) for example, i in zip(examples, order, strict=True)]


def _kept_labels(examples: Sequence[Example], seed: int) -> float:
    pairs = zip(examples, _with_shuffled_labels(examples, seed), strict=True)
    return float(np.mean([one.label == other.label for one, other in pairs]))


def best_rate(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], tried: Sequence[Example],
    rates: Sequence[float], on_progress: OnProgress,
) -> Finetuning:  # fmt: skip
    """Finetuning at the rate that answers most of the tried texts right; of several, and where all are too great, at
    the smallest.
    """
    best, most = Finetuning(demonstrations, min(rates)), -1
    if len(rates) == 1:
        return best
    for number, rate in enumerate(sorted(rates)):
        on_progress("rates", number, len(rates))
        with suppress(FloatingPointError):  # the rate is too great
            made = finetune(reader, layers, demonstrations, rate)
            with applied(layers, made):
                nothing = reader.read([])
                right = sum(reader.answer(nothing, example).label == example.label for example in tried)
            if right > most:
                best, most = Finetuning(demonstrations, rate, made=made), right
            del made  # not two at a time
    return best


def _tables(found: Sequence[tuple[str, int, Findings]]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    answers, measures = [], []
    by_layer: dict[tuple[str, str], list[Any]] = {}
    for way, seed, findings in found:
        examples = np.arange(len(findings.labels))
        columns = {"way": way, "seed": seed, "example": examples, "label": findings.labels, **findings.predictions}
        answers.append(pl.DataFrame(columns))
        for name, values in findings.layers.items():
            by_layer.setdefault((way, name), []).append(values)
            mean = _mean(values, axis=1)
            columns = {"way": way, "seed": seed, "example": examples, "measure": name, "value": mean}
            measures.append(pl.DataFrame(columns))
    layers = [
        pl.DataFrame({"way": way, "measure": name, "layer": np.arange(values[0].shape[1]),
                      "value": _mean(np.concatenate(values), axis=0)})
        for (way, name), values in by_layer.items()
    ]  # fmt: skip
    return pl.concat(answers), pl.concat(measures), pl.concat(layers)


def _mean(values: Any, axis: int) -> Any:
    """The mean of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=axis)
    return np.where(count > 0, np.where(defined, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)
