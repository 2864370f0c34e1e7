"""A model's chat format: how its template writes turns as text, and where an answer stands in it."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import Any

from llm_icl.errors import RequestError
from llm_icl.prompting.layout import CannotScoreError, common_length
from llm_icl.prompting.limited import LimitedTemplate, TemplateFailedError, TemplateOutOfBoundsError
from llm_icl.prompting.rendering import Message

# What a template that writes today's date gets instead, so that a prompt is the same text on any day.
DAY = date(2024, 7, 26)

DATED = f"today's date in the chat template is always {DAY:%d %b %Y}"
_DATES = ("%d %b %Y", "%d %B %Y", "%Y-%m-%d", "%B %d, %Y", "%b %d, %Y")
_NOW = re.compile(r"strftime_now\s*\(\s*(?P<quote>['\"])(?P<format>[^'\"]*)(?P=quote)\s*\)")

# Thoughts that a prompt begins, and thoughts that end before the answer.
_OPENED = re.compile(r"<(\w+)>\s*$")
_CLOSED = re.compile(r"</\w+>\s*$")

# The text of turns, with the beginning of an answer if the flag is set. Raises TemplateError.
Render = Callable[[Sequence[Message], bool], str]


class TemplateError(Exception):
    """The reason why a chat template does not write these turns."""


@dataclass(frozen=True)
class _Opening:
    """What the template writes at the end of a prompt and belongs after an answer, what it does not write there and
    belongs before an answer, and what it begins an answer with that its own answers lack.
    """

    left_out: str = ""
    added: str = ""
    thought: str = ""


class ChatFormat:
    """Prompts with turns in a model's chat format.

    Not every template takes a system message, or two turns of one role in a row: what it does not take is merged into
    the neighbouring turn. A template that leaves out a turn is refused. `remarks` say what else its text owes to us.
    """

    def __init__(self, name: str, render: Render, remarks: Sequence[str] = ()) -> None:
        self._name, self._render, self._remarks = name, render, tuple(remarks)
        self._faults: dict[tuple[str, ...], str] = {}

    def text(self, turns: Sequence[Message]) -> str:
        """The prompt up to the answer. Raises RequestError if the template cannot write it."""
        turns = self._taken(turns)
        if fault := self._fault(tuple(turn.role for turn in turns)):
            raise RequestError(f"the chat template of '{self._name}' {fault}")
        try:
            text = self._render(turns, True)
        except TemplateError as reason:
            raise RequestError(f"the chat template of '{self._name}' does not take the prompt: {reason}") from None
        if (missing := _missing(turns, text)) is not None:
            raise RequestError(f"the chat template of '{self._name}' changes or omits {turns[missing].content[:60]!r}")
        return text.removesuffix(self._opening.left_out) + self._opening.added

    def answered(self, turns: Sequence[Message], answer: str) -> list[str]:
        """The prompt with its answer, as the last turn and as an earlier one: templates differ there. Raises
        CannotScoreError if an answer does not begin with its text.
        """
        thought = self._opening.thought
        if thought and not _CLOSED.search(thought):
            raise CannotScoreError(f"the chat template begins an answer with {thought!r}: the label does not come next")
        texts = self._answered(self._taken(turns), answer)
        return [*texts, self.text(turns) + answer] if thought else texts

    def remarks(self, turns: Sequence[Message]) -> tuple[str, ...]:
        """What differs between these turns and their text, beyond the template's own doing."""
        remarks = list(self._remarks)
        if self._moves_system(turns):
            remarks.append("the chat template takes no system message: it opens the first user turn")
        elif len(self._taken(turns)) < len(turns):
            remarks.append("the chat template takes no two turns of one role in a row: they are merged")
        if left_out := self._opening.left_out:
            remarks.append(f"the chat template ends a prompt with {left_out!r}, which is left out")
        if added := self._opening.added:
            remarks.append(f"the chat template does not open an answer: {added!r} is added, as in its answers")
        return tuple(remarks)

    def _moves_system(self, turns: Sequence[Message]) -> bool:
        return turns[0].role == "system" and bool(self._fault(("system", "user")))

    def _taken(self, turns: Sequence[Message]) -> list[Message]:
        """The turns as the template takes them."""
        if self._moves_system(turns):
            turns = [Message("user", turns[0].content), *turns[1:]]
        elif not self._fault(("user", "user")):
            return list(turns)
        rows = [(role, list(row)) for role, row in groupby(turns, key=lambda turn: turn.role)]
        return [Message(role, "\n\n".join(turn.content for turn in row)) for role, row in rows]

    def _fault(self, roles: tuple[str, ...]) -> str:
        """Why the template cannot write turns of these roles; "" if it can. Tried with texts that are not mistaken."""
        if roles not in self._faults:
            turns = [Message(role, f"probe{i:04d}") for i, role in enumerate(roles)]
            try:
                missing = _missing(turns, self._render(turns, True))
                said = "" if missing is None else f"omits turn {missing + 1} of {len(turns)} ({roles[missing]})"
            except TemplateError as reason:
                said = f"does not take the turns {', '.join(roles[:4])}{' …' if len(roles) > 4 else ''}: {reason}"
            self._faults[roles] = said
        return self._faults[roles]

    @cached_property
    def _opening(self) -> "_Opening":
        """A prompt should end where the text of its answer begins, as the template itself writes an answered prompt."""
        turns, answer = [Message("user", "probe0000")], "probe0001"
        answered = self._answered(turns, answer)
        if self._fault(("user",)) or not answered:
            return _Opening()
        prompt = self._render(turns, True)
        if any(text.startswith(prompt) and text[len(prompt) :].lstrip().startswith(answer) for text in answered):
            return _Opening()
        before, _, after = answered[0].rpartition(answer)
        same = common_length(prompt, before)
        beyond, added = prompt[same:], before[same:]
        opened = _OPENED.search(prompt)
        if opened and f"</{opened[1]}>" in added:
            return _Opening(thought=opened[0])
        if beyond.strip() and beyond.strip() != after.strip():
            return _Opening(thought=beyond)
        return _Opening(left_out=beyond, added=added.rstrip(" "))

    def _answered(self, turns: Sequence[Message], answer: str) -> list[str]:
        last = [*turns, Message("assistant", answer)]
        texts = []
        for some in (last, [*last, Message("user", "probe0002")]):
            try:
                text = self._render(some, False)
            except TemplateError:
                continue
            texts += [text] if answer in text else []
        return texts


def _missing(turns: Sequence[Message], text: str) -> int | None:
    """The first turn that is not in a text, or not after the one before it; a system message may stand anywhere."""
    place = 0
    for i, turn in enumerate(turns):
        content = turn.content.strip()
        found = text.find(content, 0 if turn.role == "system" else place)
        if found < 0:
            return i
        if turn.role != "system":
            place = found + len(content)
    return None


def chat_of(tokenizer: Any, name: str) -> ChatFormat:
    """The chat format of a tokenizer of transformers. Raises RequestError if it has none."""
    templates = getattr(tokenizer, "chat_template", None)
    if not templates:
        raise RequestError(f"model '{name}' has no chat template: choose a prompt without turns, and omit chat=true")
    if isinstance(templates, dict) and "default" not in templates:
        raise RequestError(f"model '{name}' has chat templates for {', '.join(templates)}, and no default one")
    template, dated = undated(templates["default"] if isinstance(templates, dict) else templates)
    if re.search(r"strftime_now\s*\(", template):
        raise RequestError(f"the chat template of '{name}' writes the date in a form that cannot be fixed")

    limited = LimitedTemplate(template)
    # What `apply_chat_template` of transformers gives a template.
    given = {"tools": None, "documents": None} | _special_tokens(tokenizer)

    def render(turns: Sequence[Message], opened: bool) -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        try:
            return limited.chat(messages=messages, add_generation_prompt=opened, **given)
        except TemplateOutOfBoundsError as problem:
            raise RequestError(f"the chat template of '{name}' cannot be used: {problem}") from None
        except TemplateFailedError as problem:
            raise TemplateError((str(problem).strip().splitlines() or ["it refuses them"])[0]) from None

    return ChatFormat(name, render, [DATED] if dated else [])


def _special_tokens(tokenizer: Any) -> dict[str, Any]:
    """Special tokens by name: texts, and lists of texts."""
    found = dict(tokenizer.special_tokens_map)
    return {
        key: list(map(str, value)) if isinstance(value, list | tuple) else str(value) for key, value in found.items()
    }


def undated(template: str) -> tuple[str, bool]:
    """A template with a fixed date in place of today's, and whether it writes one."""
    return _NOW.subn(lambda found: json.dumps(DAY.strftime(found["format"])), template)[0], bool(_NOW.search(template))


def writes_today(text: str) -> bool:
    """Whether a text holds today's date, somewhere on earth, as chat templates write it."""
    today = datetime.now(UTC)
    days = [today + timedelta(hours=hours) for hours in (-12, 0, 14)]
    return any(f"{day:{form}}" in text for day in days for form in _DATES)
