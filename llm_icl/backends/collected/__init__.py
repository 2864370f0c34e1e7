"""Answers that were collected elsewhere, in place of a model: a file of `llm-icl sample --prompts` that was filled in,
or the log of another harness.
"""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from llm_icl.backends.base import ModelEntry, WritingModel, backends
from llm_icl.backends.collected.files import read_answers
from llm_icl.backends.exchange import Reply
from llm_icl.config.rows import Row, contradiction, label_of
from llm_icl.errors import RequestError
from llm_icl.prompting.rendering import Rendered, query_name

# What may be filled in: any of these.
FILLED = ("reply", "answer", "probability")
TOPS = "log_probabilities"
# What names the query that a row is of.
_QUERY = ("task", "n", "seed", "problem", "position")
# The log-probability of what is impossible.
_NEVER = -1e4
_EXPECTED = "expected are the fields of 'llm-icl sample --prompts'"


@backends.register("answers")
class CollectedAnswers(WritingModel):
    """Answers in a file: `reply` (a text, which is read as any model's), `answer` (0 or 1) or `probability` (of 1). A
    reply may have `log_probabilities`, of the likeliest tokens at its label's place.
    """

    texts_at_once = 1_000_000

    def __init__(self, entry: ModelEntry) -> None:
        self._entry = entry
        rows = usable_answers(Path(entry.identifier))
        filled = [row for row in rows if any(row.get(key) is not None for key in FILLED)]
        if not filled:
            raise RequestError(f"{entry.identifier} has no answers: fill in {', '.join(map(repr, FILLED))}")
        labels = {tuple(row["labels"]) for row in filled}
        if len(labels) > 1:
            raise RequestError(f"{entry.identifier} mixes labels: {' and '.join(map('/'.join, sorted(labels)))}")
        (self._labels,) = labels
        # Several queries may have the same prompt, and answers of their own.
        self._replies = {(_query(row), _key(_prompt(row))): _reply(row) for row in reversed(filled)}
        # Labels without any probability are read as generated text.
        scored = any(row.get("probability") is not None or row.get(TOPS) is not None for row in filled)
        self.modes = ("top", "generate") if scored else ("generate",)

    @classmethod
    def check(cls, entry: ModelEntry) -> None:
        if not Path(entry.identifier).exists():
            raise RequestError(f"model '{entry.name}': {entry.identifier} does not exist")

    @classmethod
    def place(cls, entry: ModelEntry) -> str:
        return _digest(Path(entry.identifier))

    @classmethod
    def here(cls) -> str:
        return "files of 'llm-icl sample --prompts' that were filled in"

    def identity(self) -> dict[str, Any]:
        return {"backend": self._entry.backend, "answers": _digest(Path(self._entry.identifier))}

    def wire(self, rendered: Rendered) -> Any:
        if rendered.prompt.labels != self._labels:
            asked, found = ("/".join(labels) for labels in (rendered.prompt.labels, self._labels))
            raise RequestError(f"the labels of '{self._entry.name}' are {found}, and those of the prompt {asked}")
        return {"query": rendered.query, "prompt": rendered.data()}

    def generate(self, texts: Sequence[Any], max_tokens: int, stop: Sequence[str]) -> list[Reply]:
        nothing = Reply(status="error", message="the file has no answer to this prompt: fill it in")
        return [self._replies.get((asked["query"], _key(asked["prompt"])), nothing) for asked in texts]


def usable_answers(path: Path) -> list[Row]:
    """The rows of a file. Raises RequestError if one cannot be used."""
    rows = read_answers(path)
    for number, row in enumerate(rows, 1):
        if reason := _fault(row):
            raise RequestError(f"{path}, row {number}: {reason}")
    return rows


def _query(row: Row) -> str:
    return query_name(*(row[key] for key in _QUERY))


def _prompt(row: Row) -> Any:
    return row.get("messages") or row.get("text")


def _key(prompt: Any) -> str:
    if isinstance(prompt, str):
        return prompt
    return json.dumps([[message["role"], message["content"]] for message in prompt])


def _reply(row: Row) -> Reply:
    """A reply says the label, or an answer does, or else the probability, which counts beside each of them."""
    zero, one = row["labels"]
    reply, answer, p = (row.get(key) for key in FILLED)
    if reply is None:
        reply = row["labels"][int(p is not None and p > 0.5) if answer is None else label_of(answer) == 1]
    if row.get(TOPS):
        return Reply(text=str(reply), tops=[row[TOPS]], truncated=False)
    if p is None:
        return Reply(text=str(reply), truncated=False, absent="the file has no probability")
    scores = {zero: math.log(1 - p) if p < 1 else _NEVER, one: math.log(p) if p > 0 else _NEVER}
    return Reply(text=str(reply), tops=[scores], truncated=False)


def _fault(row: Row) -> str:
    """Why a row cannot be used; empty if it can."""
    try:
        _key(_prompt(row))
        if not isinstance(row.get("messages"), list | None):
            raise TypeError
    except (TypeError, KeyError):
        return f"'text' or 'messages' is missing, or is no prompt; {_EXPECTED}"
    if missing := [key for key in _QUERY if row.get(key) is None]:
        return f"'{missing[0]}' is missing; {_EXPECTED}"
    labels = row.get("labels")
    if not isinstance(labels, list) or len(labels) != 2 or not all(isinstance(label, str) for label in labels):
        return f"'labels' are not two texts; {_EXPECTED}"
    reply, answer, probability = (row.get(key) for key in FILLED)
    became_a_number = type(reply) is int and str(reply) in labels
    if reply is not None and not isinstance(reply, str) and not became_a_number:
        return f"'reply' is not a text: {reply!r}"
    if answer is not None and label_of(answer) is None:
        return f"'answer' is not 0 or 1: {answer!r}"
    tops = row.get(TOPS)
    if tops is not None and not (isinstance(tops, Mapping) and all(map(_is_number, tops.values()))):
        return f"'{TOPS}' are not numbers by token: {tops!r:.60}"
    if probability is not None and not (type(probability) in (int, float) and 0 <= probability <= 1):
        return f"'probability' is not a number from 0 to 1: {probability!r}"
    if probability is not None and tops is not None:
        return f"give 'probability' or '{TOPS}', not both"
    written = None if reply is None else str(reply).strip()
    if written in labels and answer is not None and labels[bool(label_of(answer))] != written:
        return f"'reply' is {written}, but 'answer' is {answer}"
    if reply is not None and written not in labels and answer is not None:
        return "give 'reply', which is read as any model's, or 'answer', not both"
    if written in labels and probability not in (None, 0.5) and labels[probability > 0.5] != written:
        return f"'reply' is {written}, but 'probability', that of {labels[1]}, is {probability:g}"
    return contradiction(None if answer is None else label_of(answer), probability)


def _is_number(value: Any) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**63)


def _digest(path: Path) -> str:
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    whole = hashlib.sha256()
    for file in files:
        whole.update(file.read_bytes())
    return whole.hexdigest()
