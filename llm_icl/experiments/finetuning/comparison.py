"""In-context learning compared with finetuning on one set of texts: all seeds, methods and controls."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from llm_icl.experiments.finetuning.choosing import best_rate, best_seed, layer_causal
from llm_icl.experiments.finetuning.compared import Compared, tables
from llm_icl.experiments.finetuning.methods import LAYER_CAUSAL, OTHER, PUBLISHED_METHOD, SHUFFLED, UNTRAINED
from llm_icl.experiments.finetuning.parts import Part, load_part, save_part
from llm_icl.experiments.finetuning.projections import attention_layers
from llm_icl.experiments.finetuning.reader import load_reader
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.study import Findings, Finetuning, study
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import OnProgress

# Computes the part of a seed, from the learning rates chosen so far, by method and seed.
_Work = Callable[[ComparisonRequest, int, Mapping[str, Mapping[int, float]], OnProgress], Part]


def compare(request: ComparisonRequest, parts: Path, on_progress: OnProgress, on_part: Callable[[], None]) -> Compared:
    """Compare seed by seed; seeds whose part is in the folder are not computed again. `on_part` is called after each
    part that is.

    Raises RequestError where the model or the texts do not fit.
    """
    kinds: dict[str, _Work] = {"trained": _trained} | ({"untrained": _untrained} if request.controls else {})
    seeds = (best_seed(request, parts / "seed", on_progress),) if request.best_seed else request.seeds
    works = [(name, work, seed) for name, work in kinds.items() for seed in seeds]
    found: list[tuple[str, int, Findings]] = []
    rates: dict[str, dict[int, float]] = {}
    for name, work, seed in works:
        path = parts / f"{name}-{seed}.npz"
        if not path.is_file():
            save_part(path, work(request, seed, rates, on_progress))
            on_part()
        for method, (findings, rate) in load_part(path).items():
            found.append((method, seed, findings))
            rates.setdefault(method, {})[seed] = rate
    demonstrations = {seed: len(findings.losses) for _, seed, findings in found}
    losses: dict[str, dict[int, tuple[float, float]]] = {}
    for method, seed, findings in found:
        before, during = (float(np.mean(some)) for some in (findings.losses_before, findings.losses))
        losses.setdefault(method, {})[seed] = (before, during)
    unchanged = {
        seed: unchanged_labels(request.drawn(seed)[0][:count], seed)
        for seed, count in demonstrations.items()
        if request.controls
    }
    return Compared(*tables(found), rates, request.rates, demonstrations, unchanged, losses)


def _trained(
    request: ComparisonRequest, seed: int, _: Mapping[str, Mapping[int, float]], on_progress: OnProgress
) -> Part:
    reader = load_reader(request.model, request.task, request.separator)
    layers = attention_layers(reader.model)
    demonstrations, others = request.fitting(reader, seed)
    best = best_rate(reader, layers, demonstrations, request.validation, request.rates, on_progress)
    methods = {PUBLISHED_METHOD: best}
    on_progress(LAYER_CAUSAL, 0, 1)
    if causal := layer_causal(reader, layers, best, request.rates):
        methods[LAYER_CAUSAL] = causal
    if request.controls:
        methods[OTHER] = Finetuning(others, best.rate)
        methods[SHUFFLED] = Finetuning(with_shuffled_labels(demonstrations, seed), best.rate)
    studied = study(reader, layers, demonstrations, request.evaluation, methods, on_progress, seed)
    return {method: (findings, methods[method].rate) for method, findings in studied.items()}


def _untrained(
    request: ComparisonRequest, seed: int, rates: Mapping[str, Mapping[int, float]], on_progress: OnProgress
) -> Part:
    """A model of the same architecture with random weights, finetuned at the trained model's learning rate."""
    reader = load_reader(request.model, request.task, request.separator, random=seed)
    layers = attention_layers(reader.model)
    demonstrations, _ = request.fitting(reader, seed)
    methods = {UNTRAINED: Finetuning(demonstrations, rates[PUBLISHED_METHOD][seed])}
    studied = study(reader, layers, demonstrations, request.evaluation, methods, on_progress, seed)
    return {method: (findings, methods[method].rate) for method, findings in studied.items()}


def with_shuffled_labels(examples: Sequence[Example], seed: int) -> list[Example]:
    order = np.random.default_rng([seed, 1]).permutation(len(examples))
    return [dataclasses.replace(example, label=examples[i].label) for example, i in zip(examples, order, strict=True)]


def unchanged_labels(examples: Sequence[Example], seed: int) -> float:
    """The fraction of examples whose label is the same after shuffling."""
    pairs = zip(examples, with_shuffled_labels(examples, seed), strict=True)
    return float(np.mean([one.label == other.label for one, other in pairs]))
