"""One model on one set of labelled texts: without demonstrations, with them in context, and finetuned on them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from llm_icl.implicit_finetuning import metrics
from llm_icl.implicit_finetuning.dual_form import DualForm, dual_form
from llm_icl.implicit_finetuning.finetuning import Backward, Learned, finetuned, looked_at, mean_loss
from llm_icl.implicit_finetuning.projections import Layer
from llm_icl.implicit_finetuning.reader import Context, Reader
from llm_icl.implicit_finetuning.recording import Attended, recording
from llm_icl.implicit_finetuning.text_tasks import Example

Floats = NDArray[np.float64]

# Training tokens, and whole demonstrations, among the most attended ones that are compared.
_TOP_TOKENS, _TOP_DEMONSTRATIONS = 100, 5

# Told what is being done, how much of it, and of how much.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Findings:
    """What one set of demonstrations and one rate gave, for E evaluation examples and L layers.

    predictions are the labels [E] of each setting; layers holds a measure [E, L] by name, NaN where it is not defined;
    losses are those of the demonstrations that were learned, in nats a token, each before the update by it, and
    losses_before those of the model as it was.
    """

    labels: NDArray[np.int64]
    predictions: dict[str, NDArray[np.int64]]
    layers: dict[str, Floats]
    losses: list[float]
    losses_before: list[float]


@dataclass(frozen=True)
class _Layer:
    """What is kept of one layer at a query's last token: the output [D] (and that at a label's token), the query [h d]
    before any rotation, attention before softmax to the query's own tokens [h, t] and to the context's [T], summed over
    heads, and, where there are demonstrations, the dual form.
    """

    output: Floats
    output_at_label: Floats
    query: Floats
    own: Floats
    context: Floats
    form: DualForm | None


@dataclass(frozen=True)
class _Asked:
    """The answer to one query, and what is kept of each layer."""

    label: int
    layers: list[_Layer]


@dataclass(frozen=True)
class Finetuning:
    """One way of finetuning that is compared with learning in context."""

    demonstrations: Sequence[Example]
    rate: float
    backward: Backward = mean_loss


def study(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], evaluation: Sequence[Example],
    ways: Mapping[str, Finetuning], report: Report, seed: int = 0,
) -> dict[str, Findings]:  # fmt: skip
    """Ask all evaluation examples without demonstrations, with them in context, and finetuned in each way. The model is
    afterwards as it was before.
    """
    nothing, context = reader.read([]), reader.read(demonstrations)
    whole = (2 + len(ways)) * len(evaluation)

    def ask(setting: int, what: str, given: Context) -> list[_Asked]:
        asked = []
        with recording(reader.model, layers) as recorded:
            for i, example in enumerate(evaluation):
                report(what, setting * len(evaluation) + i, whole)
                answer = reader.answer(given, example, recorded)
                kept = [
                    _kept(layer, labelled, given, len(reader.beginning))
                    for layer, labelled in zip(answer.layers, answer.at_label, strict=True)
                ]
                asked.append(_Asked(answer.label, kept))
        return asked

    zs, icl = ask(0, "without demonstrations", nothing), ask(1, "in context", context)
    plain = [looked_at(reader, layers, example) for example in demonstrations]
    found = {}
    for number, (name, way) in enumerate(ways.items()):
        before = [looked_at(reader, layers, example).loss for example in way.demonstrations]
        with finetuned(reader, layers, way.demonstrations, way.rate, way.backward) as learned:
            ft = ask(2 + number, name, nothing)
            # What learned something else has not seen these demonstrations: it is shown them.
            same = list(way.demonstrations) == list(demonstrations)
            seen = learned if same else [looked_at(reader, layers, example) for example in demonstrations]
        measured = [
            _measure(a, b, c, context, plain, seen, seed + i)
            for i, (a, b, c) in enumerate(zip(zs, icl, ft, strict=True))
        ]
        found[name] = Findings(
            np.array([example.label for example in evaluation]),
            {name: np.array([one.label for one in some]) for name, some in (("zs", zs), ("icl", icl), ("ft", ft))},
            {name: np.stack([one[name] for one in measured]) for name in measured[0]},
            [one.loss for one in learned],
            before,
        )
    return found


def _kept(layer: Attended, labelled: Attended, given: Context, beginning: int) -> _Layer:
    logits, read = _array(layer.logits), len(given.tokens)
    form = dual_form(layer, beginning, read) if given.spans else None
    own, context = logits[:, read:], logits[:, :read].sum(axis=0)
    outputs = _array(layer.output), _array(labelled.output)
    return _Layer(*outputs, _array(layer.plain_queries[-1]), own, context, form)


def _measure(
    zs: _Asked, icl: _Asked, ft: _Asked, context: Context, plain: Sequence[Learned], seen: Sequence[Learned], seed: int
) -> dict[str, Floats]:
    """All measures of one example, [L] each. `plain` and `seen` are the demonstrations as the model alone saw them, and
    as the finetuned one.
    """
    asked = (zs, icl, ft)
    outputs = [np.stack([layer.output for layer in one.layers]) for one in asked]
    at_label = [np.stack([layer.output_at_label for layer in one.layers]) for one in asked]
    found: dict[str, list[float]] = {
        "SimAOU": metrics.update_similarity(*outputs).tolist(),
        "SimAOU at a label": metrics.update_similarity(*at_label).tolist(),
        "SimAOU, random direction": metrics.random_update_similarity(outputs[0], outputs[1], seed).tolist(),
    }
    for number, (a, b, c) in enumerate(zip(zs.layers, icl.layers, ft.layers, strict=True)):
        assert b.form is not None
        own = _seen([a.own, b.own, c.own])
        one = {
            "SimAM": metrics.map_similarity(own[1], own[2]),
            "SimAM before finetuning": metrics.map_similarity(own[1], own[0]),
            "SimAM of changes": metrics.map_change_similarity(*own),
            "SimAM of changes, after softmax": metrics.map_softmax_similarity(*own),
            "dual form, gap": b.form.gap,
            "dual form, cosine of softmax's change": b.form.softmax_cosine,
            "dual form, distance of softmax": b.form.softmax_distance,
        }
        in_training, not_finetuned = (
            np.concatenate([_array(demonstration.queries[number]) @ query for demonstration in some])
            for some, query in ((seen, c.query), (plain, a.query))
        )
        one |= _training_tokens(b.context, in_training, not_finetuned, context, [seed, number])
        for name, value in one.items():
            found.setdefault(name, []).append(value)
    return {name: np.array(values) for name, values in found.items()}


def _training_tokens(
    attention: Floats, in_training: Floats, not_finetuned: Floats, context: Context, seed: list[int]
) -> dict[str, float]:
    """How alike one layer's attention to the demonstrations' tokens is, in context [T] and by finetuning's queries; and
    by the queries of the model that was not finetuned, which are alike already.
    """
    in_context = attention[[token for start, end in context.spans for token in range(start, end)]]
    visible = np.isfinite(in_context)  # a sliding window hides the others
    numbers = np.repeat(np.arange(len(context.spans)), [end - start for start, end in context.spans])[visible]
    a = in_context[visible]
    random = np.random.default_rng(seed).normal(size=len(a))
    found = {}
    for suffix, other in (("", in_training), (", not finetuned", not_finetuned)):
        b = other[visible]
        found[f"Kendall{suffix}"] = metrics.rank_correlation(a, b)
        found[f"top tokens{suffix}"] = metrics.overlap(a, b, _TOP_TOKENS)
        whole = [metrics.demonstrations_attention(one, numbers) for one in (a, b)]
        found[f"top demonstrations{suffix}"] = metrics.overlap(whole[0], whole[1], _TOP_DEMONSTRATIONS)
    return found | {"Kendall, random": metrics.rank_correlation(a, random)}


def _seen(logits: list[Floats]) -> list[Floats]:
    """Attention to the query's tokens that all settings have: not to a beginning, which only a text alone has, and not
    to what a sliding window hides.
    """
    length = min(one.shape[-1] for one in logits)
    cut = [one[:, -length:] for one in logits]
    there = np.isfinite(np.stack(cut)).all(axis=(0, 1))
    return [one[:, there] for one in cut]


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().double().cpu().numpy()
