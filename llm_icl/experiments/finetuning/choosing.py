"""The choice of learning rates and seeds, by accuracy on the validation texts."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from llm_icl.config.files import write_text
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.descent import Finetuned, applied, finetune
from llm_icl.experiments.finetuning.layer_causal import LayerCausal
from llm_icl.experiments.finetuning.methods import LAYER_CAUSAL
from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Context, Reader
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.study import finite
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import OnProgress

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Chosen:
    """The chosen learning rate, what finetuning at it made, None where nothing had to be tried, and the candidates that
    were left out because a number was not finite.
    """

    rate: float
    made: Finetuned | None = None
    left_out: tuple[float, ...] = ()


@contextmanager
def left_out(rate: float) -> Iterator[None]:
    """A candidate at which a number is not finite is left out, and said."""
    try:
        yield
    except FloatingPointError as problem:
        log.warning("the candidate learning rate %g is left out: %s", rate, problem)


def best_rate(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], validation: Sequence[Example],
    rates: Sequence[float], on_progress: OnProgress,
) -> Chosen:  # fmt: skip
    """The learning rate with the highest validation accuracy. Of equals, and where all are too large, it is the
    smallest.
    """
    best, most, tried = Chosen(min(rates)), -1, []
    if len(rates) == 1:
        return best
    for number, rate in enumerate(sorted(rates)):
        on_progress("learning rates", number, len(rates))
        with left_out(rate):
            made = finetune(reader, layers, demonstrations, rate)
            with applied(layers, made):
                right = _right(reader, reader.read([]), validation)
            if right > most:
                best, most = Chosen(rate, made), right
            del made  # not two at a time
            tried.append(rate)
    return replace(best, left_out=tuple(rate for rate in rates if rate not in tried))


def layer_causal(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], best: float, rates: Sequence[float]
) -> tuple[float, Finetuned] | None:
    """At the learning rate of gradient descent, as in Deutch et al.; where that is too large, at the next smaller one.
    None where the model's read-out is unknown: the report says so.
    """
    try:
        backward = LayerCausal(reader.model, layers)
    except RequestError:
        return None
    for rate in sorted((rate for rate in rates if rate <= best), reverse=True):
        with left_out(rate):
            return rate, finetune(reader, layers, demonstrations, rate, backward)
    raise RequestError(f"{LAYER_CAUSAL}: all learning rates are too large: choose smaller --rates")


def best_seed(request: ComparisonRequest, path: Path, reader: Reader, on_progress: OnProgress) -> int:
    """The seed whose demonstrations have the highest validation accuracy in context; of equals, the first."""
    if not path.is_file():
        right = []
        for number, seed in enumerate(request.seeds):
            on_progress("in context: seeds", number, len(request.seeds))
            with finite("in context"):
                right.append(_right(reader, reader.read(request.fitting(reader, seed)[0]), request.validation))
        write_text(path, str(request.seeds[int(np.argmax(right))]))
    return int(path.read_text(encoding="utf-8"))


def _right(reader: Reader, context: Context, validation: Sequence[Example]) -> int:
    """The number of validation texts that are answered right."""
    right = 0
    for batch in reader.batches(validation, context):
        some = [validation[i] for i in batch]
        answers = reader.answers(context, some)
        right += sum(answer.label == example.label for answer, example in zip(answers, some, strict=True))
    return right
