"""In-context learning compared with finetuning on one set of texts: all seeds, methods and controls."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from llm_icl.experiments.finetuning.choosing import best_rate, best_seed, layer_causal
from llm_icl.experiments.finetuning.compared import Compared, tables
from llm_icl.experiments.finetuning.descent import finetune
from llm_icl.experiments.finetuning.methods import (
    LAYER_CAUSAL,
    LAYER_CAUSAL_MATCHED,
    ORDER,
    OTHER,
    PUBLISHED_METHOD,
    RANDOM,
    SHUFFLED,
    UNTRAINED,
    UNTRAINED_RANDOM,
    draws,
)
from llm_icl.experiments.finetuning.parts import Outcome, Part, load_part, save_part
from llm_icl.experiments.finetuning.reader import load_reader
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.study import SMALLER, Subject, Update, finite, study
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.experiments.finetuning.updates import as_long_as, lengths, random_update
from llm_icl.progress import OnProgress

# What the random numbers of a seed are for.
_LABELS, _ORDER, _UPDATE, _UPDATE_UNTRAINED = 1, 2, 3, 4


def compare(request: ComparisonRequest, parts: Path, on_progress: OnProgress, on_part: Callable[[], None]) -> Compared:
    """Compare seed by seed; seeds whose part is in the folder are not computed again. `on_part` is called after each
    part that is.

    Raises RequestError where the model or the texts do not fit.
    """
    reader = load_reader(request.model, request.task, request.separator)
    subject = Subject(reader, request.evaluation, on_progress)
    seeds = (best_seed(request, parts / "seed", reader, on_progress),) if request.best_seed else request.seeds
    found: list[tuple[str, int, Outcome]] = []

    def add(name: str, seed: int, work: Callable[[], Part]) -> Part:
        path = parts / f"{name}-{seed}.npz"
        if not path.is_file():
            save_part(path, work())
            on_part()
        part = load_part(path)
        found.extend((method, seed, outcome) for method, outcome in part.items())
        return part

    rates = {}
    for seed in seeds:
        rates[seed] = add("trained", seed, partial(_trained, request, seed, subject, on_progress))[
            PUBLISHED_METHOD
        ].rate
    del reader, subject  # not two models at a time
    if request.controls:
        for seed, rate in rates.items():
            add("untrained", seed, partial(_untrained, request, seed, rate, on_progress))
    return _compared(request, found)


def _trained(request: ComparisonRequest, seed: int, subject: Subject, on_progress: OnProgress) -> Part:
    reader, layers = subject.reader, subject.layers
    demonstrations, others = request.fitting(reader, seed)
    best = best_rate(reader, layers, demonstrations, request.validation, request.rates, on_progress)
    rate, made = best.rate, best.made
    if made is None:
        with finite(PUBLISHED_METHOD, SMALLER):
            made = finetune(reader, layers, demonstrations, rate)
    on_progress(LAYER_CAUSAL, 0, 1)
    causal = layer_causal(reader, layers, demonstrations, rate, request.rates)
    long = lengths(layers, made)

    def finetuned(texts: Sequence[Example]) -> Update:
        """As long as gradient descent's update on the demonstrations."""
        return lambda: as_long_as(layers, finetune(reader, layers, texts, rate), long)

    updates: dict[str, Update] = {PUBLISHED_METHOD: lambda: made}
    rates = dict.fromkeys((PUBLISHED_METHOD, OTHER, SHUFFLED, ORDER), rate)
    if causal:
        rates[LAYER_CAUSAL] = rates[LAYER_CAUSAL_MATCHED] = causal[0]
        updates[LAYER_CAUSAL] = lambda: causal[1]
        updates[LAYER_CAUSAL_MATCHED] = lambda: as_long_as(layers, causal[1], long)
    for number, name in enumerate(draws(RANDOM)):
        updates[name] = partial(random_update, layers, long, (seed, _UPDATE, number))
    reordered = in_another_order(demonstrations, seed)
    if request.controls:
        updates[OTHER] = finetuned(others)
        updates[SHUFFLED] = finetuned(with_shuffled_labels(demonstrations, seed))
        updates[ORDER] = finetuned(reordered)
    studied = study(subject, demonstrations, updates, reordered)
    return {method: Outcome(findings, rates.get(method), best.left_out) for method, findings in studied.items()}


def _untrained(request: ComparisonRequest, seed: int, rate: float | None, on_progress: OnProgress) -> Part:
    """A model of the same architecture with random weights, finetuned at the trained model's learning rate."""
    assert rate is not None
    reader = load_reader(request.model, request.task, request.separator, random=seed)
    subject = Subject(reader, request.evaluation, on_progress)
    demonstrations, _ = request.fitting(reader, seed)
    with finite(UNTRAINED, SMALLER):
        made = finetune(reader, subject.layers, demonstrations, rate)
    long = lengths(subject.layers, made)
    updates: dict[str, Update] = {UNTRAINED: lambda: made}
    for number, name in enumerate(draws(UNTRAINED_RANDOM)):
        updates[name] = partial(random_update, subject.layers, long, (seed, _UPDATE_UNTRAINED, number))
    studied = study(subject, demonstrations, updates)
    return {method: Outcome(findings, rate if method == UNTRAINED else None) for method, findings in studied.items()}


def _compared(request: ComparisonRequest, found: Sequence[tuple[str, int, Outcome]]) -> Compared:
    rates: dict[str, dict[int, float]] = {}
    scales: dict[str, dict[int, float]] = {}
    losses: dict[str, dict[int, tuple[float, float]]] = {}
    for method, seed, outcome in found:
        if outcome.rate is not None:
            rates.setdefault(method, {})[seed] = outcome.rate
        findings = outcome.findings
        scales.setdefault(method, {})[seed] = findings.scale
        before, after = (float(np.mean(some)) for some in (findings.losses_before, findings.losses))
        losses.setdefault(method, {})[seed] = (before, after)
    left_out = {seed: list(outcome.left_out) for method, seed, outcome in found if method == PUBLISHED_METHOD}
    demonstrations = {seed: len(outcome.findings.losses) for _, seed, outcome in found}
    unchanged = {
        seed: unchanged_labels(request.drawn(seed)[0][:count], seed)
        for seed, count in demonstrations.items()
        if request.controls
    }
    by_method = tables([(method, seed, outcome.findings) for method, seed, outcome in found])
    return Compared(*by_method, rates, request.rates, demonstrations, unchanged, losses, scales, left_out)


def with_shuffled_labels(examples: Sequence[Example], seed: int) -> list[Example]:
    """In a random order in which they are not all as they were, if there are several."""
    rng, labels = np.random.default_rng([seed, _LABELS]), [example.label for example in examples]
    found = [labels[i] for i in rng.permutation(len(labels))]
    while found == labels and len(set(labels)) > 1:
        found = [labels[i] for i in rng.permutation(len(labels))]
    return [dataclasses.replace(example, label=label) for example, label in zip(examples, found, strict=True)]


def unchanged_labels(examples: Sequence[Example], seed: int) -> float:
    """The fraction of examples whose label is the same after shuffling."""
    pairs = zip(examples, with_shuffled_labels(examples, seed), strict=True)
    return float(np.mean([one.label == other.label for one, other in pairs]))


def in_another_order(examples: Sequence[Example], seed: int) -> list[Example]:
    """In a random order that is not theirs, if there are several."""
    rng, order = np.random.default_rng([seed, _ORDER]), list(range(len(examples)))
    while len(order) > 1 and order == sorted(order):
        order = rng.permutation(len(examples)).tolist()
    return [examples[i] for i in order]
