"""Renders problems into prompts."""

import re
from dataclasses import dataclass, replace

from llm_icl.errors import RequestError
from llm_icl.problems import Problems, Task
from llm_icl.prompting.templates import Prompt, variables

_ROLE = re.compile(r"^\[\[(system|user|assistant)\]\]\n?", re.MULTILINE)


@dataclass(frozen=True)
class Message:
    role: str
    content: str


@dataclass(frozen=True)
class Rendered:
    """A rendered prompt for one position: one text, or turns if the template marks them with [[role]] lines; `query`
    names the position of a problem, where it is of one: several may have the same prompt.
    """

    prompt: Prompt
    text: str
    query: str = ""

    @property
    def has_turns(self) -> bool:
        """Whether the template has turns, at this position or at others."""
        return bool(_ROLE.search(self.text) or _ROLE.search(self.prompt.body))

    def completion(self) -> str:
        """The text for a completion model."""
        if self.has_turns:
            raise RequestError(f"prompt '{self.prompt.name}' has turns: use a chat model")
        return self.prompt.preamble + self.text

    def messages(self) -> list[Message]:
        """The turns for a chat model; a text without turns is one user message. Raises RequestError if a part of the
        text belongs to no turn.
        """
        pieces = _ROLE.split(self.text)
        if len(pieces) > 1 and (stray := pieces[0].strip()):
            raise RequestError(f"prompt '{self.prompt.name}': {stray[:60]!r} stands before the first turn")
        turns = [Message(role, content.strip("\n")) for role, content in zip(pieces[1::2], pieces[2::2], strict=True)]
        if not turns:
            turns = [Message("user", self.text)]
        if self.prompt.system and turns[0].role != "system":
            turns.insert(0, Message("system", self.prompt.system))
        return turns

    def data(self) -> str | list[dict[str, str]]:
        """As JSON data: the text, or the turns."""
        if not self.has_turns:
            return self.completion()
        return [{"role": message.role, "content": message.content} for message in self.messages()]


def check_task(prompt: Prompt, task: Task) -> None:
    """Raise RequestError if the task card lacks a field that the prompt requires."""
    for need in prompt.needs:
        if not getattr(task, need):
            raise RequestError(f"prompt '{prompt.name}' requires the field '{need}', which task '{task.name}' lacks")


def render(prompt: Prompt, problems: Problems, problem: int, position: int) -> Rendered:
    """The prompt that asks for the label of point `position` after the examples before it."""
    name = query_name(problems.task.name, problems.n, problems.seed, int(problems.indices[problem]), position)
    inputs = [prompt.write_input(bits) for bits in problems.xs[problem, : position + 1].tolist()]
    labels = [prompt.labels[label] for label in problems.shown[problem, :position].tolist()]
    return replace(render_examples(prompt, problems.task, problems.n, inputs, labels), query=name)


def query_name(task: str, n: int, seed: int, problem: int, position: int) -> str:
    return f"{task}/n{n}/s{seed}/{problem}/{position}"


def render_examples(prompt: Prompt, task: Task, n: int, inputs: list[str], labels: list[str]) -> Rendered:
    """The prompt for written inputs, the last of which is the query, and the labels of the others."""
    examples = [{"input": x, "label": y} for x, y in zip(inputs, labels, strict=False)]
    names = variables(examples, inputs[-1], n, prompt.labels, task.definition, task.algorithm)
    return Rendered(prompt, prompt.fill(names))
