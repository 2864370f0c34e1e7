"""One model on one set of labelled texts: without demonstrations, with them in context, and finetuned on them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.asked import Asked, Floats, layer_state
from llm_icl.experiments.finetuning.contrast import Contrast
from llm_icl.experiments.finetuning.descent import Backward, Finetuned, Learned, applied, finetune, looked_at, mean_loss
from llm_icl.experiments.finetuning.measures import MEASURES, Comparand
from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Context, Reader
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import OnProgress

_SMALLER = ": choose smaller --rates"


@dataclass(frozen=True)
class Findings:
    """The results of one set of demonstrations and one learning rate, for E evaluation examples and L layers.

    predictions are the labels (E,) in each setting; layers holds a measure (E, L) by name, NaN where it is undefined;
    losses are those of the demonstrations in training, in nats a token, each before the update by it, and
    losses_before those of the model before finetuning.
    """

    labels: NDArray[np.int64]
    predictions: dict[str, NDArray[np.int64]]
    layers: dict[str, Floats]
    losses: list[float]
    losses_before: list[float]


@dataclass(frozen=True)
class Finetuning:
    """One method of finetuning, and the finetuned parameters, where they have been computed already."""

    demonstrations: Sequence[Example]
    rate: float
    backward: Backward = mean_loss
    made: Finetuned | None = None


def study(
    reader: Reader, layers: Sequence[Layer], demonstrations: Sequence[Example], evaluation: Sequence[Example],
    methods: Mapping[str, Finetuning], on_progress: OnProgress, seed: int = 0,
) -> dict[str, Findings]:  # fmt: skip
    """Ask all evaluation examples without demonstrations, with them in context, and finetuned by each method. The
    model itself is unchanged afterwards.

    Raises RequestError where a learning rate is too large.
    """
    context = reader.read(demonstrations)
    whole = (2 + len(methods)) * len(evaluation)

    def ask(setting: int, what: str, before: Context) -> list[Asked]:
        asked = []
        for i, example in enumerate(evaluation):
            on_progress(what, setting * len(evaluation) + i, whole)
            with finite(what, _SMALLER if setting > 1 else ""):
                answer = reader.answer(before, example, layers)
            states = [layer_state(layer, before, len(reader.beginning)) for layer in answer.layers]
            asked.append(Asked(answer.label, states))
        return asked

    zs, icl = ask(0, "without demonstrations", reader.read([])), ask(1, "in context", context)

    def measured(ft: Sequence[Asked], read: Sequence[Learned], comparand: Comparand) -> dict[str, Floats]:
        settings = enumerate(zip(zs, icl, ft, strict=True))
        rows = [_measured(Contrast(a, b, c, context, read, (seed, i)), comparand) for i, (a, b, c) in settings]
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}  # (L,) each → (E, L)

    plain = [looked_at(reader, layers, example) for example in demonstrations]
    common = measured(zs, plain, "model")
    found = {}
    for number, (name, method) in enumerate(methods.items()):
        same = list(method.demonstrations) == list(demonstrations)
        before = plain if same else [looked_at(reader, layers, example) for example in method.demonstrations]
        with finite(name, _SMALLER):
            made = method.made or finetune(reader, layers, method.demonstrations, method.rate, method.backward)
        with applied(layers, made):
            # The beginning is read again, since its keys and values have changed.
            ft = ask(2 + number, name, reader.read([]))
            # All read the demonstrations after finetuning: models finetuned on others have not seen them before.
            after = [looked_at(reader, layers, example) for example in demonstrations]
        published = measured(ft, made.learned, "training") if same else {}
        found[name] = Findings(
            np.array([example.label for example in evaluation]),
            {name: np.array([one.label for one in some]) for name, some in (("zs", zs), ("icl", icl), ("ft", ft))},
            common | measured(ft, after, "finetuned") | published,
            [one.loss for one in made.learned],
            [one.loss for one in before],
        )
        del made  # not two at a time
    return found


@contextmanager
def finite(what: str, advice: str = "") -> Iterator[None]:
    """Numbers that are not finite become a RequestError that names where they occurred."""
    try:
        yield
    except FloatingPointError as problem:
        raise RequestError(f"{what}: {problem}{advice}") from None


def _measured(contrast: Contrast, comparand: Comparand) -> dict[str, Floats]:
    """The measures of one query with this comparand, (L,) each."""
    layers = contrast.layers()
    chosen = [measure for measure in MEASURES if measure.comparand == comparand]
    return {measure.name: np.array([measure.compute(layer) for layer in layers]) for measure in chosen}
