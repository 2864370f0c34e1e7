"""One model on one set of labelled texts: without demonstrations, with them in context, and with updated weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.asked import Asked, Floats, array, ask
from llm_icl.experiments.finetuning.contrast import Contrast
from llm_icl.experiments.finetuning.descent import Finetuned, Learned, applied, looked_at
from llm_icl.experiments.finetuning.measures import MEASURES, Comparand
from llm_icl.experiments.finetuning.methods import ORDER, PUBLISHED_METHOD
from llm_icl.experiments.finetuning.projections import Layer, attention_layers
from llm_icl.experiments.finetuning.reader import Context, Reader
from llm_icl.experiments.finetuning.text_tasks import Example
from llm_icl.progress import OnProgress

SMALLER = ": choose smaller --rates"

# Makes the updated parameters. Raises FloatingPointError where the learning rate is too large.
Update = Callable[[], Finetuned]


@dataclass(frozen=True)
class Findings:
    """The results of one set of demonstrations and one update, for E evaluation examples and L layers.

    predictions are the labels (E,) in each setting; layers holds a measure (E, L) by name, NaN where it is undefined;
    losses are those of the demonstrations, in nats a token, with the updated weights, and losses_before with the
    model's own. scale is the factor by which the update was shortened or lengthened.
    """

    labels: NDArray[np.int64]
    predictions: dict[str, NDArray[np.int64]]
    layers: dict[str, Floats]
    losses: list[float]
    losses_before: list[float]
    scale: float = 1.0


@dataclass(frozen=True)
class Subject:
    """A model, and the queries that it is asked: without demonstrations once, whatever the demonstrations are."""

    reader: Reader
    evaluation: Sequence[Example]
    on_progress: OnProgress

    @cached_property
    def layers(self) -> list[Layer]:
        return attention_layers(self.reader.model)

    @cached_property
    def zero_shot(self) -> list[Asked]:
        return self.ask("without demonstrations", self.reader.read([]))

    def ask(self, what: str, context: Context, advice: str = "") -> list[Asked]:
        with finite(what, advice):
            return ask(
                self.reader, context, self.evaluation, self.layers,
                lambda done: self.on_progress(what, done, len(self.evaluation)),
            )  # fmt: skip


def study(
    subject: Subject, demonstrations: Sequence[Example], updates: Mapping[str, Update],
    reordered: Sequence[Example] = (),
) -> dict[str, Findings]:  # fmt: skip
    """Ask all queries without demonstrations, with them in context, and with each update of the weights. The update
    called ORDER is compared with that of PUBLISHED_METHOD, and the `reordered` demonstrations in context with the
    demonstrations. All updates have each measure on the same layers. The model itself is unchanged afterwards.

    Raises RequestError where a learning rate is too large.
    """
    reader, layers = subject.reader, subject.layers
    context = reader.read(demonstrations)
    zs, icl = subject.zero_shot, subject.ask("in context", context)

    def measured(
        comparand: Comparand, a: Sequence[Asked], b: Sequence[Asked], read: Sequence[Learned]
    ) -> dict[str, Floats]:
        """The measures with this comparand, (E, L) each."""
        queries = [np.concatenate([array(one.queries[layer]) for one in read]) for layer in range(len(layers))]
        chosen = [measure for measure in MEASURES if measure.comparand == comparand]
        contrasts = [Contrast(*three, context, queries).layers() for three in zip(zs, a, b, strict=True)]
        return {one.name: np.array([[one.compute(layer) for layer in of] for of in contrasts]) for one in chosen}

    before = looked_at(reader, layers, demonstrations)
    common = measured("model", icl, zs, before)
    found: dict[str, Findings] = {}
    published: list[Asked] = []
    for name, update in updates.items():
        with finite(name, SMALLER):
            made = update()
        with applied(layers, made):
            # The beginning is read again, since its keys and values have changed.
            ft = subject.ask(name, reader.read([]), SMALLER)
            # All read the demonstrations after the update: models finetuned on others have not seen them before.
            after = looked_at(reader, layers, demonstrations)
        if name == PUBLISHED_METHOD:
            published = ft
        of_update = common | measured("finetuned", icl, ft, after)
        if made.learned:
            of_update |= measured("training", icl, ft, made.learned)
        read = icl
        if name == ORDER:
            read = subject.ask("in context, in another order", reader.read(reordered))
            of_update |= measured("context in another order", icl, read, before)
            of_update |= measured("finetuned in another order", published, ft, before)
        found[name] = Findings(
            np.array([example.label for example in subject.evaluation]),
            {key: np.array([one.label for one in some]) for key, some in (("zs", zs), ("icl", read), ("ft", ft))},
            of_update,
            [one.loss for one in after],
            [one.loss for one in before],
            made.scale,
        )
        del made  # not two at a time
    _on_the_same_layers([findings.layers for findings in found.values()])
    return found


def _on_the_same_layers(found: Sequence[dict[str, Floats]]) -> None:
    """Where a measure is undefined for one update, since it changed nothing there, it is for all: averages over layers
    are compared with each other.
    """
    for name in {name for layers in found for name in layers}:
        having = [layers for layers in found if name in layers]
        defined = np.all([np.isfinite(layers[name]) for layers in having], axis=0)
        for layers in having:
            layers[name] = np.where(defined, layers[name], np.nan)


@contextmanager
def finite(what: str, advice: str = "") -> Iterator[None]:
    """Numbers that are not finite become a RequestError that names where they occurred."""
    try:
        yield
    except FloatingPointError as problem:
        raise RequestError(f"{what}: {problem}{advice}") from None
