"""Label positions: the text of a whole learning curve, and the characters and tokens of its labels.

In a causal model the prompt with m examples contains every shorter one, so one forward pass over the longest gives all
m predictions. That is so only if each shorter prompt is a prefix of the longer one, character by character and token
by token, and if both labels are one token after it. Both are checked here; failures raise CannotScoreError.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llm_icl.problems import Problems
from llm_icl.prompting.rendering import Rendered, render, render_examples
from llm_icl.prompting.templates import Prompt

_BLANK = " \n"

Tokenize = Callable[[Sequence[str]], list[list[int]]]


class CannotScoreError(Exception):
    """The reason why a query mode cannot score the labels exactly."""


@dataclass(frozen=True)
class LabelPlace:
    """One position: the tokens before the label, and the tokens of label 0 and of label 1 that follow them."""

    context: tuple[int, ...]
    zero: tuple[int, ...]
    one: tuple[int, ...]

    @property
    def single(self) -> bool:
        return len(self.zero) == len(self.one) == 1


@dataclass(frozen=True)
class Curve:
    """One problem as one sequence of tokens: the label of `positions[j]` is predicted after `ends[j]` tokens."""

    tokens: tuple[int, ...]
    ends: tuple[int, ...]
    zeros: tuple[int, ...]
    ones: tuple[int, ...]


def label_gap(prompt: Prompt, problems: Problems, as_text: Callable[[Rendered], str]) -> str:
    """The text between the end of a prompt and the label: usually a space.

    Found by comparing a prompt with the next one, where the label is an example. Raises CannotScoreError if the prompt
    does not continue with the label.
    """
    x = prompt.write_input([0] * problems.n)
    asked = as_text(render_examples(prompt, problems.task, problems.n, [x], []))
    for label in prompt.labels:
        shown = as_text(render_examples(prompt, problems.task, problems.n, [x, x], [label]))
        rest = shown[len(asked) :]
        if not shown.startswith(asked) or not rest.lstrip(_BLANK).startswith(label):
            raise CannotScoreError(f"in prompt '{prompt.name}' a longer prompt does not contain the shorter ones")
    return _gap(rest)


def separate_gap(
    prompt: Prompt, problems: Problems, as_text: Callable[[Rendered], str],
    answered: Callable[[Rendered, str], list[str]],
) -> str:  # fmt: skip
    """The text between the end of a prompt and the label, where longer prompts do not contain the shorter ones.

    Found as the text between what follows an input and its label, in a prompt where it is an example and in those that
    `answered` gives. Raises CannotScoreError if no such prompt continues with the label.
    """
    x, other = (prompt.write_input([bit] * problems.n) for bit in (0, 1))
    rendered = render_examples(prompt, problems.task, problems.n, [x], [])
    _, query, after = as_text(rendered).rpartition(x)
    for label in prompt.labels:
        longer = as_text(render_examples(prompt, problems.task, problems.n, [x, other], [label]))
        rests = [text.rpartition(x + after) for text in (*answered(rendered, label), longer)]
        gaps = [_gap(rest) for _, found, rest in rests if query and found and rest.lstrip(_BLANK).startswith(label)]
        if not gaps:
            raise CannotScoreError(f"prompt '{prompt.name}' does not show where a label stands after its input")
    return gaps[0]


def _gap(rest: str) -> str:
    """The blank text that a text begins with."""
    return rest[: len(rest) - len(rest.lstrip(_BLANK))]


def shared_text(prompt: Prompt, problems: Problems, as_text: Callable[[Rendered], str]) -> str:
    """The common prefix of all prompts of a task."""
    first, second = (
        as_text(render_examples(prompt, problems.task, problems.n, [prompt.write_input([bit] * problems.n)], []))
        for bit in (0, 1)
    )
    return first[: common_length(first, second)]


def common_length(first: str, second: str) -> int:
    """The length of the common prefix of two texts."""
    shorter = min(len(first), len(second))
    return next((i for i, (a, b) in enumerate(zip(first, second, strict=False)) if a != b), shorter)


def label_places(texts: Sequence[str], gap: str, labels: tuple[str, str], tokenize: Tokenize) -> list[LabelPlace]:
    """The tokens of both labels after each text.

    The texts are tokenized with each label as a whole, so a space may be part of the label's token.
    Raises CannotScoreError if one label's tokens are a prefix of the other's.
    """
    zeros = tokenize([text + gap + labels[0] for text in texts])
    ones = tokenize([text + gap + labels[1] for text in texts])
    places = []
    for zero, one in zip(zeros, ones, strict=True):
        common = next((i for i, (a, b) in enumerate(zip(zero, one, strict=False)) if a != b), None)
        if common is None:
            raise CannotScoreError(
                f"of the labels {labels[0]!r} and {labels[1]!r}, the tokens of one are a prefix of the other's"
            )
        places.append(LabelPlace(tuple(zero[:common]), tuple(zero[common:]), tuple(one[common:])))
    return places


def curve_of(
    prompt: Prompt, problems: Problems, problem: int, positions: Sequence[int], gap: str,
    as_text: Callable[[Rendered], str], tokenize: Tokenize,
) -> Curve:  # fmt: skip
    """The curve of one problem. Raises CannotScoreError, with the position, if it would not be exact."""
    texts = [as_text(render(prompt, problems, problem, position)) for position in positions]
    places = label_places(texts, gap, prompt.labels, tokenize)
    whole, tokens = texts[-1], places[-1].context
    shown = problems.shown[problem]
    for position, text, place in zip(positions, texts, places, strict=True):
        if not whole.startswith(text):
            raise CannotScoreError(
                f"prompt '{prompt.name}': the prompt at position {position} is not a prefix of the last one"
            )
        if not place.single:
            raise CannotScoreError(
                f"after the prompt at position {position} the labels {prompt.labels[0]!r} and {prompt.labels[1]!r} "
                f"are {len(place.zero)} and {len(place.one)} tokens, and must be one each"
            )
        label = (place.zero, place.one)[shown[position]] if position < positions[-1] else ()
        before = place.context + label
        if tokens[: len(before)] != before:
            raise CannotScoreError(
                f"the tokenizer merges the label at position {position} with its neighbours, "
                "so the longest prompt does not contain the tokens of the shorter one"
            )
    ends = tuple(len(place.context) for place in places)
    return Curve(tokens, ends, tuple(place.zero[0] for place in places), tuple(place.one[0] for place in places))
