"""The request of a comparison: a model, a set of texts, and how both are compared."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
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
    With `cut`, where not all demonstrations fit the context, both settings get as many as fit. With `drop`, texts that
    do not fit are left out and others drawn in their place: `too_long` are those, with their tokens.
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
    drop: bool = False
    too_long: Mapping[Example, int] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        return {
            "model": self.model.record(),
            "dataset": dataclasses.asdict(self.task) | {"labels": list(self.task.labels)},
            "texts": self.splits.digest,
            "seeds": list(self.seeds),
            "demonstrations": self.demonstrations,
            "examples": self.examples,
            "rates": list(self.rates),
            "choose_on": self.choose_on,
            "separator": self.separator,
            "controls": self.controls,
            "best_seed": self.best_seed,
            "cut": self.cut,
            "drop": self.drop,
            "versions": {"llm-icl": versions()["llm-icl"]},
        }

    def check(self) -> None:
        """Raise RequestError where there are too few texts."""
        if len(self.splits.evaluation) < 2:
            raise RequestError(f"dataset '{self.task.name}' has 1 text to evaluate on: at least 2 are needed")
        if self._is_short_of_texts:
            needed = [f"{counted(len(self.seeds), 'seed')} with {counted(self.demonstrations, 'demonstration')}"]
            needed += ["as many for a control"] if self.controls else []
            needed += [f"{_VALIDATION} to validate learning rates on"] if self.choose_on == "training" else []
            *but_last, last = needed
            raise RequestError(
                f"dataset '{self.task.name}' has {counted(len(self.splits.training), 'training text')}, too few for "
                f"{', '.join(but_last)}{' and ' if but_last else ''}{last}"
            )

    @property
    def evaluation(self) -> list[Example]:
        split = self.splits.evaluation
        return [split[i] for i in islice(self._order(split, _EVALUATION_ORDER), self.examples)]

    def drawn(self, seed: int) -> tuple[list[Example], list[Example]]:
        """The demonstrations of a seed, and with controls as many others."""
        split, count = self.splits.training, self.demonstrations
        texts = [split[i] for i in islice(self._order(split, seed), self._drawn)]
        return texts[:count], texts[count:]

    def fitting(self, reader: Reader, seed: int) -> tuple[list[Example], list[Example]]:
        """The demonstrations of a seed and as many others: all, or with `cut` as many as fit the context."""
        demonstrations, others = self.drawn(seed)
        longest, tokens = self._longest(reader, [seed])
        named = f"{longest.place or 'the longest text'} has {tokens:,} tokens"
        if tokens + len(reader.beginning) > reader.limit:
            raise RequestError(
                f"{named}, more than the model's context of {reader.limit:,}: --too-long drop leaves it out"
            )
        count = reader.fitting(demonstrations, [*self.evaluation, *self.validation])
        if not count:
            raise RequestError(
                f"no demonstration of '{self.task.name}' fits the context of {reader.limit:,} tokens together with "
                f"every query ({named}): --too-long drop leaves out the longest texts"
            )
        if count < len(demonstrations) and not self.cut:
            raise RequestError(
                f"only {count} of the {len(demonstrations)} demonstrations of '{self.task.name}' fit the context of "
                f"{reader.limit:,} tokens together with every query ({named}): choose fewer --demonstrations, "
                f"--too-many cut, or --too-long drop"
            )
        return demonstrations[:count], others[:count]

    def shortened(self, reader: Reader) -> "ComparisonRequest":
        """This request without the longest texts: others are drawn in their place, until all demonstrations of every
        seed fit together with every query.

        Raises RequestError where too few texts are left.
        """
        request = self
        while not request._fits(reader):
            request = dataclasses.replace(
                request, too_long=dict([*request.too_long.items(), request._longest(reader, self.seeds)])
            )
            if request._is_short_of_texts or len(request.evaluation) < 2:
                raise RequestError(
                    f"dataset '{self.task.name}' has too few texts that fit the context of {reader.limit:,} tokens: "
                    f"choose fewer --demonstrations"
                )
        return request

    @property
    def remarks(self) -> tuple[str, ...]:
        """What readers should know of the texts."""
        if not self.too_long:
            return self.splits.remarks
        place, tokens = max(((text.place, tokens) for text, tokens in self.too_long.items()), key=lambda one: one[1])
        return (
            *self.splits.remarks,
            f"{counted(len(self.too_long), 'text')} left out, too long for the context with all demonstrations; the "
            f"longest, {place}, has {tokens:,} tokens",
        )

    def _fits(self, reader: Reader) -> bool:
        queries = [*self.evaluation, *self.validation]
        return self._longest(reader, self.seeds)[1] + len(reader.beginning) <= reader.limit and all(
            reader.fitting(demonstrations, queries) == len(demonstrations)
            for demonstrations, _ in map(self.drawn, self.seeds)
        )

    def _longest(self, reader: Reader, seeds: Sequence[int]) -> tuple[Example, int]:
        """The longest of all texts that are drawn, and its tokens, with those of its longest label."""
        texts = [text for seed in seeds for some in self.drawn(seed) for text in some]
        lengths = {text: _length(reader, text) for text in (*texts, *self.evaluation, *self.validation)}
        return max(lengths.items(), key=lambda one: one[1])

    @property
    def validation(self) -> list[Example]:
        """The texts on which seeds and learning rates are validated: no seed demonstrates them, none is reported."""
        if self.choose_on == "evaluation":
            return self.evaluation
        split = self.splits.training
        used = {i for seed in self.seeds for i in islice(self._order(split, seed), self._drawn)}
        unused = (i for i in self._order(split, _VALIDATION_ORDER) if i not in used)
        return [split[i] for i in islice(unused, _VALIDATION)]

    @property
    def _is_short_of_texts(self) -> bool:
        few = self.choose_on == "training" and len(self.validation) < _VALIDATION
        return few or len(list(islice(self._order(self.splits.training, 0), self._drawn))) < self._drawn

    @property
    def _drawn(self) -> int:
        """How many texts a seed draws."""
        return self.demonstrations * (2 if self.controls else 1)

    def _order(self, split: Sequence[Example], seed: int) -> Iterator[int]:
        """The texts of a split in the order of a seed, without those that are too long."""
        order = shuffled(range(len(split)), seed)
        return (i for i in order if split[i] not in self.too_long) if self.too_long else order


def _length(reader: Reader, text: Example) -> int:
    tokens = reader.tokens(text)
    return len(tokens.text) + max(map(len, tokens.labels))
