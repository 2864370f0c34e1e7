"""Labelled texts: a card names their source, the template of an example and the words of its labels."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jinja2 import Environment, StrictUndefined, TemplateError

from llm_icl.backends.embedded import reach_hub
from llm_icl.config.cards import Card, read_card
from llm_icl.config.files import data_files
from llm_icl.errors import RequestError, unknown_name

T = TypeVar("T")

_NEEDED = ("hub", "training", "evaluation", "template", "labels", "demonstrations")
_TEXTS = ("description", "source", "hub", "configuration", "training", "evaluation", "template")


@dataclass(frozen=True)
class TextTask:
    """One set of labelled texts. A row's `label` is an index into `labels`, the words that the model predicts."""

    name: str
    hub: str
    configuration: str
    training: str
    evaluation: str
    template: str
    labels: tuple[str, ...]
    demonstrations: int


@dataclass(frozen=True)
class Example:
    """A text as a model sees it, up to its label's word, and the label."""

    text: str
    label: int


@dataclass(frozen=True)
class Splits:
    """Examples for demonstrations and training, and examples for evaluation."""

    training: Sequence[Example]
    evaluation: Sequence[Example]


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
    card = read_card(path).only((*_TEXTS, "labels", "demonstrations"), _NEEDED)
    texts = {key: card.text(key) for key in _TEXTS}
    del texts["description"], texts["source"]
    return TextTask(path.stem, **texts, labels=_labels(card), demonstrations=_demonstrations(card))


def load_splits(task: TextTask, folder: Path | None = None) -> Splits:
    """The rows of both splits as examples: from the hub, or from FOLDER/NAME/SPLIT.jsonl with the hub's columns.

    Raises RequestError where they are unavailable, or do not fit the card.
    """
    read = _from_hub if folder is None else _from_folder
    return Splits(*(_examples(task, read(task, split, folder), split) for split in (task.training, task.evaluation)))


def shuffled(examples: Sequence[T], seed: int) -> list[T]:
    """In the order in which `datasets` would shuffle them with this seed."""
    return [examples[i] for i in np.random.default_rng(seed).permutation(len(examples))]


def _labels(card: Card) -> tuple[str, ...]:
    labels = card.fields["labels"]
    if not isinstance(labels, list) or len(labels) < 2 or not all(isinstance(label, str) and label for label in labels):
        raise card.error(
            "'labels' must be a list of at least two words, in quotation marks where YAML would read another type",
            "labels",
        )
    if len(set(labels)) < len(labels):
        raise card.error("two labels have the same word", "labels")
    return tuple(labels)


def _demonstrations(card: Card) -> int:
    count = card.fields["demonstrations"]
    if type(count) is not int or count < 1:
        raise card.error(f"'demonstrations' must be a whole number of at least 1, not {count!r}", "demonstrations")
    return count


def _from_folder(task: TextTask, split: str, folder: Path | None) -> list[dict[str, Any]]:
    assert folder is not None
    path = folder / task.name / f"{split}.jsonl"
    rows = []
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            if line.strip():
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise RequestError(f"{path}, line {number}: not a JSON object")
                rows.append(row)
    except FileNotFoundError:
        raise RequestError(f"{path} does not exist: --data-dir must contain {task.name}/{split}.jsonl") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as problem:
        raise RequestError(f"{path} cannot be read: {problem}") from None
    return rows


def _from_hub(task: TextTask, split: str, _: Path | None) -> list[dict[str, Any]]:
    import datasets
    import huggingface_hub

    try:
        reach_hub()
    except OSError:  # what was downloaded earlier is still in the cache
        huggingface_hub.constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        found = datasets.load_dataset(task.hub, task.configuration or None, split=split)
    except Exception as problem:  # the hub's client raises anything, from many libraries
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
        raise RequestError(
            f"dataset '{task.name}' is unavailable from the hub ({reason}); for your own files use --data-dir DIR, "
            f"with DIR/{task.name}/{split}.jsonl that has the columns of {task.hub}"
        ) from None
    rows: list[dict[str, Any]] = found.to_list()
    return rows


def _examples(task: TextTask, rows: Sequence[dict[str, Any]], split: str) -> list[Example]:
    try:
        template = Environment(undefined=StrictUndefined, autoescape=False).from_string(task.template)
    except TemplateError as problem:
        raise RequestError(f"dataset '{task.name}': invalid template: {problem}") from None
    examples = []
    for number, row in enumerate(rows, 1):
        where = f"dataset '{task.name}', {split}, row {number}"
        try:
            text = " ".join(template.render(row).split())
        except TemplateError as problem:
            raise RequestError(f"{where}: {problem}; its columns are {', '.join(row)}") from None
        label = row.get("label")
        if "label" not in row:
            raise RequestError(f"{where}: no column 'label'; its columns are {', '.join(row)}")
        if type(label) is not int or not 0 <= label < len(task.labels):
            last = len(task.labels) - 1
            raise RequestError(f"{where}: label {label!r} is not in the card: labels are numbers from 0 to {last}")
        examples.append(Example(text, label))
    if not examples:
        raise RequestError(f"dataset '{task.name}': the split {split} is empty")
    return examples
