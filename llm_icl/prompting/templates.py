"""Prompt templates: Jinja with a short front matter. Users add their own in `./prompts`."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card, read_document
from llm_icl.config.files import PACKAGE, data_files
from llm_icl.config.specs import Spec, only_known
from llm_icl.errors import RequestError, unknown_name
from llm_icl.prompting.limited import LimitedTemplate, TemplateFailedError

_FIELDS = ("description", "source", "system", "preamble", "answer", "stop", "max-tokens", "needs")
# Fields of the task card that a prompt may require: `definition` or `algorithm`.
_NEEDS = ("definition", "algorithm")
INPUT_STYLES = ("spaced", "compact", "words", "list")
LABEL = "{label}"


@dataclass(frozen=True)
class Prompt:
    """A template with its front matter, and the formats of inputs and labels.

    `answer` is a regular expression in which {label} matches either label: the whole reply must match, and the
    label is captured. An empty `answer` means that the label comes next, so its probability can be scored.
    `system` is the system message for chat models, `preamble` precedes the text for completion models.
    """

    name: str
    path: Path
    body: str
    description: str = ""
    source: str = ""
    system: str = ""
    preamble: str = ""
    answer: str = ""
    stop: tuple[str, ...] = ()
    max_tokens: int = 2
    needs: tuple[str, ...] = ()
    inputs: str = "spaced"
    labels: tuple[str, str] = ("0", "1")
    template: Any = field(default=None, compare=False, repr=False)
    lines_before: int = 0

    def fill(self, names: dict[str, Any]) -> str:
        """The template with its names filled in. Raises RequestError, with the line, if that fails."""
        try:
            return str(self.template.render(**names))
        except TemplateFailedError as problem:
            raise _at_line(self.path, problem, self.lines_before) from None

    @property
    def label_comes_next(self) -> bool:
        return not self.answer

    def write_input(self, bits: list[int]) -> str:
        if self.inputs == "compact":
            return "".join(map(str, bits))
        if self.inputs == "words":
            return " ".join("true" if bit else "false" for bit in bits)
        if self.inputs == "list":
            return str(bits)
        return " ".join(map(str, bits))

    def parse(self, reply: str) -> int | None:
        """Parse the label of a reply; None if the whole reply does not match."""
        either = "|".join(re.escape(label) for label in sorted(self.labels, key=len, reverse=True))
        pattern = (self.answer or rf"\s*{LABEL}\s*").replace(LABEL, f"(?P<label>{either})")
        if self.answer and isinstance(self.template, LimitedTemplate):
            try:
                label = self.template.label(pattern, reply)
            except TemplateFailedError as problem:
                raise RequestError(f"{self.path}: 'answer' cannot be matched with a reply: {problem}") from None
        else:
            match = re.fullmatch(pattern, reply, re.DOTALL)
            label = match["label"] if match else None
        return None if label is None else self.labels.index(label)


def prompt_names(prompts_dir: Path | None = None) -> dict[str, Path]:
    """The available templates, by name."""
    return data_files("prompts", ".jinja", prompts_dir)


def load_prompt(spec: Spec, prompts_dir: Path | None = None) -> Prompt:
    """Load a prompt by name, with `inputs=STYLE` and `labels=ZERO/ONE` as its options.

    Raises RequestError, with file and line, for an invalid template.
    """
    paths = prompt_names(prompts_dir)
    if spec.name not in paths:
        raise unknown_name("prompt", spec.name, paths)
    options = spec.mapping()
    only_known("prompt", spec.name, options, ("inputs", "labels"))
    inputs = str(options.get("inputs", "spaced"))
    if inputs not in INPUT_STYLES:
        raise RequestError(f"prompt '{spec}': inputs={inputs} is not one of {', '.join(INPUT_STYLES)}")
    zero, slash, one = str(options.get("labels", "0/1")).partition("/")
    if not slash or not zero.strip() or not one.strip() or zero == one:
        raise RequestError(f"prompt '{spec}': labels must be two different words ZERO/ONE, such as labels=no/yes")
    return read_prompt(paths[spec.name], str(spec), inputs, (zero, one))


def read_prompt(path: Path, name: str, inputs: str = "spaced", labels: tuple[str, str] = ("0", "1")) -> Prompt:
    document = read_document(path)
    card, body = document.card.only(_FIELDS), document.body
    return Prompt(
        name=name,
        path=path,
        body=body,
        description=card.text("description"),
        source=card.text("source"),
        system=card.text("system").strip(),
        preamble=card.text("preamble"),
        answer=_answer(card),
        stop=_words(card, "stop"),
        max_tokens=_count(card, "max-tokens", 2),
        needs=_words(card, "needs"),
        inputs=inputs,
        labels=labels,
        template=_compile(path, body, document.skipped),
        lines_before=document.skipped,
    )


def _compile(path: Path, body: str, skipped: int) -> Any:
    """The template: of the package as it is, of a user within limits."""
    if path.parent in (PACKAGE / "data" / "prompts", PACKAGE.parent / "prompts"):
        from jinja2 import StrictUndefined
        from jinja2.sandbox import SandboxedEnvironment

        return SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string(body)
    template = LimitedTemplate(body)
    known = variables([{"input": "0 1", "label": "1"}], "1 0", 2, ("0", "1"), "a definition", "an algorithm")
    try:
        used = template.undeclared()
        for name, line in sorted(used.items()):
            if name not in known:
                raise TemplateFailedError(f"'{name}' is undefined: known are {', '.join(known)}", line)
        if "query" not in used:
            raise RequestError(f"{path}: the template must contain {{{{ query }}}}")
        template.render(**known)
    except TemplateFailedError as problem:
        raise _at_line(path, problem, skipped) from None
    return template


def _at_line(path: Path, problem: TemplateFailedError, skipped: int) -> RequestError:
    return RequestError(f"{path}{f', line {problem.line + skipped}' if problem.line else ''}: {problem}")


def variables(
    examples: list[dict[str, str]], query: str, n: int, labels: tuple[str, str], definition: str, algorithm: str
) -> dict[str, Any]:
    """The variables of templates."""
    texts = {"definition": definition, "algorithm": algorithm}
    return {"examples": examples, "query": query, "n": n, "labels": list(labels), **texts}


def _answer(card: Card) -> str:
    answer = card.text("answer")
    if answer:
        try:
            compiled = re.compile(answer.replace(LABEL, "(?P<label>0|1)"))
        except (re.error, OverflowError, RecursionError) as problem:
            raise card.error(f"'answer' is not a regular expression: {problem}", "answer") from None
        if "label" not in compiled.groupindex:
            raise card.error(f"'answer' must contain {LABEL} in place of the label", "answer")
    return answer


def _words(card: Card, key: str) -> tuple[str, ...]:
    value = card.fields.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise card.error(f"'{key}' must be a list of texts, not {value!r}", key)
    if key == "needs" and set(value) - set(_NEEDS):
        raise card.error(f"'needs' must be a list of {' and '.join(_NEEDS)}, not {value!r}", key)
    return tuple(value)


def _count(card: Card, key: str, default: int) -> int:
    value = card.fields.get(key, default)
    if type(value) is not int or value < 1:
        raise card.error(f"'{key}' must be a whole number of at least 1, not {value!r}", key)
    return value
