"""Labelled texts: a card names their source, the template of an example and the words of its labels."""

import hashlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from llm_icl.config.cards import Card, read_card
from llm_icl.config.files import data_files
from llm_icl.errors import RequestError, unknown_name
from llm_icl.experiments.finetuning.examples import Example, Examples, TextTemplate, examples_of, written_label
from llm_icl.experiments.finetuning.rows import file_source, hub_source

T = TypeVar("T")

# The fields of a card, and what they mean.
FIELDS = {
    "description": "a line for lists",
    "source": "where the set comes from, for readers",
    "hub": "the data set on the Hugging Face hub; not needed with --data-dir",
    "configuration": "its configuration, where it has several",
    "training": "the split that demonstrations come from",
    "evaluation": "the split that queries come from",
    "template": "the text of an example up to its label; {{ column }} is a column of the row",
    "label": "the column with the label (default: label)",
    "labels": "the words of the labels: a list, in the order of the numbers in the rows (from 0), or value: word lines",
    "demonstrations": "how many demonstrations are shown",
}
_NEEDED = ("training", "evaluation", "template", "labels", "demonstrations")
_TEXTS = ("description", "source", "hub", "configuration", "training", "evaluation", "template")

# Words that say true or false, whatever their order.
_BOOLEANS = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}


@dataclass(frozen=True)
class TextTask:
    """One set of labelled texts. `labels` are the words that the model predicts, `label` is the column with a row's
    label, and `values` maps what it holds to indices into `labels`.
    """

    name: str
    hub: str
    configuration: str
    training: str
    evaluation: str
    template: str
    labels: tuple[str, ...]
    demonstrations: int
    label: str = "label"
    values: Mapping[str, int] = field(default_factory=dict)
    description: str = ""
    source: str = ""


@dataclass(frozen=True)
class Splits:
    """Examples for demonstrations and training, and examples for evaluation. `remarks` are what readers should know of
    them, such as rows that both have.
    """

    training: Sequence[Example]
    evaluation: Sequence[Example]
    remarks: tuple[str, ...] = ()

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all texts and labels."""
        digest = hashlib.sha256()
        for split in (self.training, self.evaluation):
            for example in split:
                digest.update(f"{example.label} {example.text}\n".encode())
            digest.update(b"\n")
        return digest.hexdigest()


def text_task_names(tasks_dir: Path | None = None) -> dict[str, Path]:
    return data_files("tasks/text", ".yaml", tasks_dir / "text" if tasks_dir else None)


def load_text_task(text: str, tasks_dir: Path | None = None) -> TextTask:
    """The task of a name or a card's file. Raises RequestError, with the line."""
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        paths = text_task_names(tasks_dir)
        if text not in paths:
            raise unknown_name("dataset", text, paths, "; or a card's YAML file")
        path = paths[text]
    card = read_card(path).only(FIELDS, _NEEDED)
    texts = {key: card.text(key) for key in _TEXTS}
    if texts["training"] == texts["evaluation"]:
        raise card.error("'training' and 'evaluation' are the same split", "evaluation")
    column = card.text("label", "label")
    try:
        if column in TextTemplate(texts["template"]).columns:
            raise ValueError(f"it prints the label, '{column}'")
    except ValueError as problem:
        raise card.error(f"'template' is invalid: {problem}", "template") from None
    words, values = _labels(card)
    return TextTask(path.stem, **texts, labels=words, demonstrations=_demonstrations(card), label=column, values=values)


def load_splits(task: TextTask, folder: Path | None = None) -> Splits:
    """The rows of both splits as examples: from the hub, or from FOLDER/NAME/SPLIT.jsonl (or another format) with the
    columns that the card names.

    Raises RequestError where they are unavailable, or do not fit the card.
    """
    template = TextTemplate(task.template)
    if folder is None and not task.hub:
        raise RequestError(f"dataset '{task.name}': its card names no data set of the hub: use --data-dir")

    def read(split: str) -> Examples:
        if folder is None:
            source = hub_source(task.name, task.hub, task.configuration, split)
        else:
            source = file_source(folder / task.name, split)
        return examples_of(source, template, task.label, task.values)

    training, evaluation = read(task.training), read(task.evaluation)
    remarks = [*_remarks(task, training, template.ending), *_remarks(task, evaluation, template.ending)]
    if shared := int(np.isin(evaluation.marks, training.marks).sum()):
        remarks.append(f"{evaluation.name}: {shared} of {len(evaluation)} texts are also in {task.training}")
    return Splits(training, evaluation, tuple(remarks))


def shuffled(examples: Sequence[T], seed: int) -> Iterator[T]:
    """In the order in which `datasets` would shuffle them with this seed."""
    return (examples[i] for i in np.random.default_rng(seed).permutation(len(examples)))


def _remarks(task: TextTask, examples: Examples, ending: str) -> Iterator[str]:
    """What readers should know of a split."""
    counts = np.bincount(examples.labels, minlength=len(task.labels))
    missing = [word for word, count in zip(task.labels, counts, strict=True) if not count]
    if (counts > 0).sum() == 1:
        yield f"{examples.name}: all rows have the label '{task.labels[int(counts.argmax())]}'"
    elif missing:
        yield f"{examples.name}: no row has the label '{missing[0]}'"
    different = len(np.unique(examples.marks))
    if different == 1 and len(examples) > 1:
        yield f"{examples.name}: all texts are equal"
    elif different < len(examples):
        pairs = np.column_stack([examples.marks, examples.labels.astype(np.uint64)])
        contrary = len(np.unique(pairs, axis=0)) - different
        other = f", {contrary} with another label" if contrary else ""
        yield f"{examples.name}: {len(examples) - different} of {len(examples)} texts repeat an earlier one{other}"
    if ending and (marked := sum(example.text.count(ending) > 1 for example in examples)):
        yield f"{examples.name}: {marked} of {len(examples)} texts contain '{ending}', which precedes the label"


def _labels(card: Card) -> tuple[tuple[str, ...], dict[str, int]]:
    """The words of the labels, and the index of each value in the rows."""
    labels = card.fields["labels"]
    words = list(labels.values()) if isinstance(labels, dict) else labels
    if not isinstance(words, list) or not all(
        isinstance(word, str) and word and word == word.strip() for word in words
    ):
        raise card.error(
            "'labels' must be words, in quotation marks where YAML would read another type: a list, or value: word "
            "lines",
            "labels",
        )
    if hidden := [word for word in words if not word.isprintable()]:
        raise card.error(f"'labels': {hidden[0]!r} has a character that is not printed", "labels")
    alike = len({unicodedata.normalize("NFKC", word) for word in words}) < len(set(words))
    if alike or (isinstance(labels, list) and len(set(words)) < len(words)):
        raise card.error("two labels have the same word", "labels")
    different = tuple(dict.fromkeys(words))
    if len(different) < 2:
        raise card.error("'labels' must be at least two words", "labels")
    if isinstance(labels, list):
        return different, _read_as(different)
    values: dict[str, int] = {}
    for value, word in labels.items():
        if value is None or (written := written_label(value)) in values:
            raise card.error(f"'labels': the value {value!r} is null, or appears twice", "labels")
        values[written] = different.index(word)
    return different, values


def _read_as(words: Sequence[str]) -> dict[str, int]:
    """How rows may write the labels of a list: by number, as true and false where there are two, or by word. What can
    be read in two ways is left out.
    """
    readings: list[tuple[str, int]] = [(str(i), i) for i in range(len(words))]
    readings += [("false", 0), ("true", 1)] if len(words) == 2 else []
    readings += [(_BOOLEANS[word.lower()], i) for i, word in enumerate(words) if word.lower() in _BOOLEANS]
    readings += [(written_label(word), i) for i, word in enumerate(words)]
    found: dict[str, set[int]] = {}
    for value, index in readings:
        found.setdefault(value, set()).add(index)
    return {value: indices.pop() for value, indices in found.items() if len(indices) == 1}


def _demonstrations(card: Card) -> int:
    count: Any = card.fields["demonstrations"]
    if type(count) is not int or count < 1:
        raise card.error(f"'demonstrations' must be a whole number of at least 1, not {count!r}", "demonstrations")
    return count
