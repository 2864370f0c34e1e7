"""The choice of learning rates and seeds, by accuracy on the validation texts."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from llm_icl.config.files import write_text
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.descent import applied, finetune
from llm_icl.experiments.finetuning.layer_causal import LayerCausal
from llm_icl.experiments.finetuning.methods import LAYER_CAUSAL
from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Reader, load_reader
from llm_icl.experiments.finetuning.request import ComparisonRequest
from llm_icl.experiments.finetuning.study import Finetuning, finite
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import OnProgress

log = logging.getLogger(__name__)


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
) -> Finetuning:  # fmt: skip
    """Finetuning at the learning rate with the highest validation accuracy. Of equals, and where all are too large, it
    is the smallest.
    """
    best, most = Finetuning(demonstrations, min(rates)), -1
    if len(rates) == 1:
        return best
    for number, rate in enumerate(sorted(rates)):
        on_progress("learning rates", number, len(rates))
        with left_out(rate):
            made = finetune(reader, layers, demonstrations, rate)
            with applied(layers, made):
                nothing = reader.read([])
                right = sum(reader.answer(nothing, example).label == example.label for example in validation)
            if right > most:
                best, most = Finetuning(demonstrations, rate, made=made), right
            del made  # not two at a time
    return best


def layer_causal(
    reader: Reader, layers: Sequence[Layer], best: Finetuning, rates: Sequence[float]
) -> Finetuning | None:
    """At the learning rate of gradient descent, as in Deutch et al.; where that is too large, at the next smaller one.
    None where the model's read-out is unknown: the report says so.
    """
    try:
        backward = LayerCausal(reader.model, layers)
    except RequestError:
        return None
    for rate in sorted((rate for rate in rates if rate <= best.rate), reverse=True):
        with left_out(rate):
            made = finetune(reader, layers, best.demonstrations, rate, backward)
            return Finetuning(best.demonstrations, rate, backward, made)
    raise RequestError(f"{LAYER_CAUSAL}: all learning rates are too large: choose smaller --rates")


def best_seed(request: ComparisonRequest, path: Path, on_progress: OnProgress) -> int:
    """The seed whose demonstrations have the highest validation accuracy in context; of equals, the first."""
    if not path.is_file():
        reader = load_reader(request.model, request.task, request.separator)
        right = []
        for number, seed in enumerate(request.seeds):
            on_progress("in context: seeds", number, len(request.seeds))
            context = reader.read(request.fitting(reader, seed)[0])
            with finite("in context"):
                right.append(
                    sum(reader.answer(context, example).label == example.label for example in request.validation)
                )
        write_text(path, str(request.seeds[int(np.argmax(right))]))
    return int(path.read_text(encoding="utf-8"))
