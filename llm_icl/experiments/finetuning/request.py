"""The request of a comparison: a model, a set of texts, and how both are compared."""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any

from llm_icl.backends.base import ModelEntry
from llm_icl.config.specs import counted
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.reader import Reader
from llm_icl.experiments.finetuning.text_tasks import Example, Splits, TextTask, shuffled
from llm_icl.runs.versions import versions

# The number of texts on which seeds and learning rates are validated.
_VALIDATION = 50
_VALIDATION_ORDER, _EVALUATION_ORDER = 0, 1


@dataclass(frozen=True)
class ComparisonRequest:
    """What is compared. With `choose_on` "evaluation" the learning rate is chosen on the reported examples, as in the
    paper; with "training" on others. With `best_seed` the seed is chosen there too, and only that one is reported.
    With `cut`, where not all demonstrations fit the context, both settings get as many as fit.
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

    def check(self) -> None:
        """Raise RequestError where there are too few texts."""
        count = len(self.splits.training)
        few = self.choose_on == "training" and len(self.validation) < _VALIDATION
        if few or 2 * self.demonstrations > count:
            raise RequestError(
                f"dataset '{self.task.name}' has {count} training texts, too few for "
                f"{counted(len(self.seeds), 'seed')} with {counted(self.demonstrations, 'demonstration')}, as many for "
                f"a control, and {_VALIDATION} to validate learning rates on"
            )

    @property
    def evaluation(self) -> list[Example]:
        return shuffled(self.splits.evaluation, _EVALUATION_ORDER)[: self.examples]

    def drawn(self, seed: int) -> tuple[list[Example], list[Example]]:
        """The demonstrations of a seed, and as many others."""
        order, count = shuffled(self.splits.training, seed), self.demonstrations
        return order[:count], order[count : 2 * count]

    def fitting(self, reader: Reader, seed: int) -> tuple[list[Example], list[Example]]:
        """The demonstrations of a seed and as many others: all, or with `cut` as many as fit the context."""
        demonstrations, others = self.drawn(seed)
        count = reader.fitting(demonstrations, [*self.evaluation, *self.validation])
        if not count:
            raise RequestError(f"no demonstration of '{self.task.name}' fits the context together with every query")
        if count < len(demonstrations) and not self.cut:
            raise RequestError(
                f"only {count} of the {len(demonstrations)} demonstrations of '{self.task.name}' fit the context of "
                f"{reader.limit} tokens together with every query: choose fewer --demonstrations, or --too-many cut"
            )
        return demonstrations[:count], others[:count]

    @property
    def validation(self) -> list[Example]:
        """The texts on which seeds and learning rates are validated: no seed demonstrates them, none is reported."""
        if self.choose_on == "evaluation":
            return self.evaluation
        number = range(len(self.splits.training))
        used = {i for seed in self.seeds for i in shuffled(number, seed)[: 2 * self.demonstrations]}
        order = shuffled(number, _VALIDATION_ORDER)
        return [self.splits.training[i] for i in order if i not in used][:_VALIDATION]
