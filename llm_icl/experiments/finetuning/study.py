"""One model on one set of labelled texts: without demonstrations, with them in context, and finetuned on them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning import metrics
from llm_icl.experiments.finetuning.descent import Backward, Finetuned, Learned, applied, finetune, looked_at, mean_loss
from llm_icl.experiments.finetuning.dual_form import DualForm, dual_form
from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Context, Reader
from llm_icl.experiments.finetuning.recording import Attended
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import OnProgress

Floats = NDArray[np.float64]

# Training tokens, and whole demonstrations, among the most attended ones that are compared.
_TOP_TOKENS, _TOP_DEMONSTRATIONS = 100, 5
# Of a vector's greatest entry, what float32 may change by rounding alone.
_ROUNDING = 1e-5

_SMALLER = ": give smaller --rates"


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
    before any rotation, the number of heads, attention before softmax to the query's own tokens [h, t] and to the
    context's [T], averaged over heads, and, where there are demonstrations, the dual form.
    """

    output: Floats
    output_at_label: Floats
    query: Floats
    heads: int
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
    """One way of finetuning that is compared with learning in context, and what it made, where that is known."""

    demonstrations: Sequence[Example]
    rate: float
    backward: Backward = mean_loss
    made: Finetuned | None = None


def study(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], evaluation: Sequence[Example],
    ways: Mapping[str, Finetuning], on_progress: OnProgress, seed: int = 0,
) -> dict[str, Findings]:  # fmt: skip
    """Ask all evaluation examples without demonstrations, with them in context, and finetuned in each way. The model is
    afterwards as it was before.

    Raises RequestError where a rate is too great.
    """
    context = reader.read(demonstrations)
    whole = (2 + len(ways)) * len(evaluation)

    def ask(setting: int, what: str, given: Context) -> list[_Asked]:
        asked = []
        for i, example in enumerate(evaluation):
            on_progress(what, setting * len(evaluation) + i, whole)
            with finite(what, _SMALLER if setting > 1 else ""):
                answer = reader.answer(given, example, layers)
            kept = [_kept(layer, given, len(reader.beginning)) for layer in answer.layers]
            asked.append(_Asked(answer.label, kept))
        return asked

    zs, icl = ask(0, "without demonstrations", reader.read([])), ask(1, "in context", context)
    plain = [looked_at(reader, layers, example) for example in demonstrations]
    common = [_in_context(a, b, context, plain, (seed, i)) for i, (a, b) in enumerate(zip(zs, icl, strict=True))]
    found = {}
    for number, (name, way) in enumerate(ways.items()):
        same = list(way.demonstrations) == list(demonstrations)
        before = plain if same else [looked_at(reader, layers, example) for example in way.demonstrations]
        with finite(name, _SMALLER):
            made = way.made or finetune(reader, layers, way.demonstrations, way.rate, way.backward)
        with applied(layers, made):
            # The beginning is read again: its keys and values are others now.
            ft = ask(2 + number, name, reader.read([]))
            # All are shown the demonstrations afterwards: what learned something else has not seen them before.
            seen = [looked_at(reader, layers, example) for example in demonstrations]
        measured = [
            both
            | _finetuned(a, b, c, context, seen, (seed, i))
            | (_as_published(b, c, context, made.learned) if same else {})
            for i, (both, a, b, c) in enumerate(zip(common, zs, icl, ft, strict=True))
        ]
        found[name] = Findings(
            np.array([example.label for example in evaluation]),
            {name: np.array([one.label for one in some]) for name, some in (("zs", zs), ("icl", icl), ("ft", ft))},
            {name: np.stack([one[name] for one in measured]) for name in measured[0]},
            [one.loss for one in made.learned],
            [one.loss for one in before],
        )
        del made  # not two at a time
    return found


@contextmanager
def finite(what: str, advice: str = "") -> Iterator[None]:
    """Numbers that are not finite become a RequestError that tells of what they are."""
    try:
        yield
    except FloatingPointError as problem:
        raise RequestError(f"{what}: {problem}{advice}") from None


def _kept(layer: Attended, given: Context, beginning: int) -> _Layer:
    logits, read = _array(layer.logits), len(given.tokens)
    form = dual_form(layer, beginning, read) if given.spans else None
    own, context = logits[:, read:], logits[:, :read].mean(axis=0)
    outputs = _array(layer.output), _array(layer.last_output)
    return _Layer(*outputs, _array(layer.plain_queries[-1]), len(logits), own, context, form)


def _in_context(
    zs: _Asked, icl: _Asked, context: Context, plain: Sequence[Learned], seed: tuple[int, int]
) -> dict[str, Floats]:
    """The measures of one example that finetuning plays no part in, [L] each: nulls, and the dual form. `plain` are the
    demonstrations as the model alone saw them.
    """
    by_layer = []
    for number, (a, b) in enumerate(zip(zs.layers, icl.layers, strict=True)):
        assert b.form is not None
        own = _seen([a.own, b.own])
        attention, _ = _visible(b.context, context)
        random = np.random.default_rng([*seed, number]).normal(size=len(attention))
        by_layer.append(
            {
                "SimAM before finetuning": metrics.map_similarity(own[1], own[0]),
                "dual form, gap": b.form.gap,
                "dual form, cosine of softmax's change": b.form.softmax_cosine,
                "dual form, distance of softmax": b.form.softmax_distance,
                "Kendall, random": metrics.rank_correlation(attention, random),
            }
            | _training_tokens(b.context, _products(plain, number, a), context, ", not finetuned")
        )
    return _joined(by_layer)


def _finetuned(
    zs: _Asked, icl: _Asked, ft: _Asked, context: Context, seen: Sequence[Learned], seed: tuple[int, int]
) -> dict[str, Floats]:
    """The other measures of one example. `seen` are the demonstrations as the finetuned model sees them."""
    asked, rng = (zs, icl, ft), np.random.default_rng(seed)
    outputs = [np.stack([layer.output for layer in one.layers]) for one in asked]
    at_label = [np.stack([layer.output_at_label for layer in one.layers]) for one in asked]
    by_layer = []
    for number, (a, b, c) in enumerate(zip(zs.layers, icl.layers, ft.layers, strict=True)):
        own = _seen([a.own, b.own, c.own])
        changes = {
            "SimAM of changes": metrics.map_change_similarity(*own),
            "SimAM of changes, after softmax": metrics.map_softmax_similarity(*own),
            "SimAM of changes, after softmax, random change": metrics.random_map_softmax_similarity(rng, *own),
        }
        by_layer.append(
            {"SimAM": metrics.map_similarity(own[1], own[2])}
            | (changes if _depends_on_context(a, b) else dict.fromkeys(changes, float("nan")))
            | _training_tokens(b.context, _products(seen, number, c), context)
        )
    updates = {
        "SimAOU": metrics.update_similarity(*outputs),
        "SimAOU, random change": metrics.random_update_similarity(rng, *outputs),
        "SimAOU at a label": metrics.update_similarity(*at_label),
    }
    return updates | _joined(by_layer)


def _as_published(icl: _Asked, ft: _Asked, context: Context, learned: Sequence[Learned]) -> dict[str, Floats]:
    """Kendall's correlation with the demonstrations as they were seen in finetuning, each under the weights of then."""
    by_layer = []
    for number, (b, c) in enumerate(zip(icl.layers, ft.layers, strict=True)):
        attention, visible = _visible(b.context, context)
        found = metrics.rank_correlation(attention, _products(learned, number, c)[visible])
        by_layer.append({"Kendall, as published": found})
    return _joined(by_layer)


def _depends_on_context(alone: _Layer, read: _Layer) -> bool:
    """Whether attention among the query's own tokens can: not in a first layer with rotary positions, to which these
    tokens come as they are without a context. What differs there is rounding, the more the later they stand.
    """
    return not np.allclose(alone.query, read.query, rtol=0, atol=_ROUNDING * np.abs(alone.query).max())


def _joined(by_layer: Sequence[Mapping[str, float]]) -> dict[str, Floats]:
    return {name: np.array([one[name] for one in by_layer]) for name in by_layer[0]}


def _products(demonstrations: Sequence[Learned], number: int, asked: _Layer) -> Floats:
    """The products of a query's vector with those of all demonstrations' tokens, scaled and averaged over heads as
    attention before softmax is, [T].
    """
    query = asked.query / np.sqrt(asked.heads * len(asked.query))  # the heads, times the root of the width of one
    return np.concatenate([_array(one.queries[number]) @ query for one in demonstrations])


def _visible(attention: Floats, context: Context) -> tuple[Floats, NDArray[np.bool_]]:
    """Attention to the demonstrations' tokens that a sliding window does not hide, and which of them these are."""
    to_tokens = attention[[token for start, end in context.spans for token in range(start, end)]]
    visible = np.isfinite(to_tokens)
    return to_tokens[visible], visible


def _training_tokens(attention: Floats, products: Floats, context: Context, suffix: str = "") -> dict[str, float]:
    """How alike one layer's attention to the demonstrations' tokens in context is to the products of queries [T]."""
    a, visible = _visible(attention, context)
    b = products[visible]
    numbers = np.repeat(np.arange(len(context.spans)), [end - start for start, end in context.spans])[visible]
    whole = [metrics.demonstrations_attention(one, numbers) for one in (a, b)]
    return {
        f"Kendall{suffix}": metrics.rank_correlation(a, b),
        f"top tokens{suffix}": metrics.overlap(a, b, _TOP_TOKENS),
        f"top demonstrations{suffix}": metrics.overlap(whole[0], whole[1], _TOP_DEMONSTRATIONS),
    }


def _seen(logits: list[Floats]) -> list[Floats]:
    """Attention to those of the query's tokens that a sliding window hides in no setting."""
    there = np.isfinite(np.stack(logits)).all(axis=(0, 1))
    return [one[:, there] for one in logits]


def _array(tensor: torch.Tensor) -> Floats:
    return tensor.detach().double().cpu().numpy()
