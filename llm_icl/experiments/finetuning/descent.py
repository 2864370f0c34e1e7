"""Finetuning on demonstrations, as Dai et al. 2023 do it: one epoch of plain gradient descent, one demonstration at a
time in the order of the context, on the mean loss of all its tokens, key and value projections only.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Reader, by_length
from llm_icl.experiments.finetuning.recording import recording
from llm_icl.experiments.finetuning.text_tasks import Example

# So many tokens of demonstrations are looked at at once: logits for all of them are kept.
_TOKENS = 256


@dataclass(frozen=True)
class Learned:
    """A demonstration as a model with the weights of that moment sees it, in finetuning those before the update by it:
    its loss, in nats a token, and the queries (t, H P) of its t tokens in each layer.
    """

    loss: float
    queries: list[Tensor]


# Computes the loss of a demonstration's tokens, and sets the gradients of the trained parameters.
Backward = Callable[[Reader, Tensor], float]


def mean_loss(reader: Reader, ids: Tensor) -> float:
    """The mean negative log-probability of all tokens but the first, and its gradients."""
    logits = reader.model(input_ids=ids, use_cache=False).logits  # (1, T, vocabulary)
    logits = logits[0, :-1].float()  # (T - 1, vocabulary)
    loss = F.cross_entropy(logits, ids[0, 1:])
    loss.backward()
    return float(loss.detach())


@torch.no_grad()
def looked_at(reader: Reader, layers: Sequence[Layer], examples: Sequence[Example]) -> list[Learned]:
    """Demonstrations as the model sees them, without learning; several at once, padded at their ends."""
    texts = [[*reader.beginning, *reader.demonstration(example)] for example in examples]
    seen: dict[int, Learned] = {}
    for batch in by_length([len(text) for text in texts], _TOKENS):
        length = max(len(texts[i]) for i in batch)
        ids = torch.tensor([texts[i] + [0] * (length - len(texts[i])) for i in batch], device=reader.model.device)
        with recording(reader.model, layers) as recorded:
            logits = reader.model(input_ids=ids, use_cache=False).logits  # (B, T, vocabulary)
        for row, i in enumerate(batch):
            end = len(texts[i])
            loss = F.cross_entropy(logits[row, : end - 1].float(), ids[row, 1:end])
            queries = [layer.plain_queries(row)[len(reader.beginning) : end] for layer in recorded]
            seen[i] = Learned(float(loss), queries)
    return [seen[i] for i in range(len(examples))]


@dataclass(frozen=True)
class Finetuned:
    """The trained parameters after an update; each demonstration as it was seen in training, where these parameters are
    what it led to; and the factor by which the update was shortened or lengthened.
    """

    parameters: list[Tensor]
    learned: list[Learned] = field(default_factory=list)
    scale: float = 1.0


def finetune(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], rate: float,
    backward: Backward = mean_loss,
) -> Finetuned:  # fmt: skip
    """Only keys and values change: in a matrix that also makes queries, the entries of queries do not. The model itself
    is bit for bit unchanged afterwards.

    Raises FloatingPointError where the learning rate is too large.
    """
    trained = [(parameter, mask) for layer in layers for parameter, mask in layer.trained]
    parameters = [parameter for parameter, _ in trained]
    originals, wanted = _copies(parameters), {id(parameter) for parameter in parameters}
    needed = [(parameter, parameter.requires_grad) for parameter in reader.model.parameters()]
    for parameter, _ in needed:
        parameter.requires_grad_(id(parameter) in wanted)
    try:
        learned = [_learn(reader, layers, trained, example, rate, backward) for example in demonstrations]
        if not all(torch.isfinite(parameter).all() for parameter in parameters):
            raise FloatingPointError(f"the weights are not finite: the learning rate {rate} is too large")
        return Finetuned(_copies(parameters), learned)
    finally:
        _put(originals, parameters)
        for parameter in parameters:
            parameter.grad = None
        for parameter, before_needed in needed:
            parameter.requires_grad_(before_needed)


@contextmanager
def applied(layers: Sequence[Layer], finetuned: Finetuned) -> Iterator[None]:
    """Inside it the model is the finetuned one; afterwards it is bit for bit what it was before."""
    parameters = [parameter for layer in layers for parameter, _ in layer.trained]
    originals = _copies(parameters)
    _put(finetuned.parameters, parameters)
    try:
        yield
    finally:
        _put(originals, parameters)


def _copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


@torch.no_grad()
def _put(values: Sequence[Tensor], parameters: Sequence[Tensor]) -> None:
    for value, parameter in zip(values, parameters, strict=True):
        parameter.copy_(value)


def _learn(
    reader: Reader, layers: Sequence[Layer], trained: Sequence[tuple[torch.nn.Parameter, Tensor]], example: Example,
    rate: float, backward: Backward,
) -> Learned:  # fmt: skip
    ids = reader.ids([*reader.beginning, *reader.demonstration(example)])
    with recording(reader.model, layers) as recorded:
        loss = backward(reader, ids)
        queries = [layer.plain_queries(0)[len(reader.beginning) :].detach().clone() for layer in recorded]
    if not math.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}: the learning rate {rate} is too large")
    with torch.no_grad():
        for parameter, mask in trained:
            if parameter.grad is not None:
                parameter.sub_(rate * parameter.grad * mask.to(parameter.device))
                parameter.grad = None
    return Learned(loss, queries)
