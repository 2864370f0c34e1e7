"""Which calls answer a cell: the best mode that is exact, and for each call what the backend needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from llm_icl.backends.base import LanguageModel, TokenModel
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError, common_length, curve_of, label_gap, label_places, shared_text
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt
from llm_icl.prompting.token_estimate import estimated_tokens

# Tokens of a prompt from which on providers keep what it begins with.
_LEAST_KEPT = 1024


@dataclass(frozen=True)
class Planned:
    """One call that is to be made: for problem `problem` at `positions`, the `repeat`-th time, with what the backend
    needs for it. `text` is the prompt as it is shown to people.
    """

    problem: int
    positions: tuple[int, ...]
    text: str
    payload: Any
    request: dict[str, Any]
    repeat: int = 0


@dataclass(frozen=True)
class Plan:
    """The calls of one cell, all in one mode, and why a better mode was not possible."""

    mode: str
    reasons: tuple[str, ...]
    calls: tuple[Planned, ...]
    too_long: tuple[tuple[int, int], ...] = ()
    shared: int = 0


def plan_for(
    model: LanguageModel,
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    mode: str = "auto",
    repeats: int = 1,
) -> Plan:
    """Choose the best mode that is exact for all the problems, or the one that was asked for.

    Raises RequestError where the asked one is not possible.
    """
    if mode != "auto" and mode not in model.modes:
        raise RequestError(f"the model can be asked in the modes {', '.join(model.modes)}, not in '{mode}'")
    reasons: list[str] = []
    for candidate in model.modes if mode == "auto" else (mode,):
        try:
            if repeats > 1 and candidate != "generate":
                raise CannotScoreError("repeats are for written answers")
            if candidate != "generate" and not prompt.label_comes_next:
                raise CannotScoreError(f"prompt '{prompt.name}' asks for more than the label")
            if mode == "auto" and candidate == "curve" and len(positions) < model.least_curve:
                raise CannotScoreError(f"one by one is quicker for fewer than {model.least_curve} positions")
            return _plan(model, prompt, problems, positions, candidate, tuple(reasons), repeats)
        except CannotScoreError as reason:
            reasons.append(f"{candidate}: {reason}")
    raise RequestError(f"the model cannot be asked so: {'; '.join(reasons)}")


def _plan(
    model: LanguageModel,
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    mode: str,
    reasons: tuple[str, ...],
    repeats: int,
) -> Plan:
    if mode == "echo":
        return _plan_echo(model, prompt, problems, positions, reasons)
    if mode in ("curve", "positions"):
        assert isinstance(model, TokenModel)
        plan = _plan_curve if mode == "curve" else _plan_positions
        return plan(model, prompt, problems, positions, reasons)
    if repeats > 1 and not model.samples:
        raise RequestError("the model writes what is likeliest, so that repeats would be equal: leave --repeats out")
    return _plan_replies(model, prompt, problems, positions, mode, reasons, repeats)


def _plan_curve(
    model: TokenModel, prompt: Prompt, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]
) -> Plan:
    """One call a problem: the longest prompt that fits."""
    gap = label_gap(prompt, problems, model.as_text)
    shared = len(model.tokenize([shared_text(prompt, problems, model.as_text)])[0]) - 1
    calls, too_long = [], []
    for i in range(len(problems)):
        curve = curve_of(prompt, problems, i, positions, gap, model.as_text, model.tokenize)
        fitting = [j for j, end in enumerate(curve.ends) if end < model.context_length]
        too_long += [(i, position) for position in positions[len(fitting) :]]
        if not fitting:
            continue
        if len(fitting) < len(positions):
            curve = curve_of(prompt, problems, i, positions[: len(fitting)], gap, model.as_text, model.tokenize)
        kept = tuple(positions[: len(fitting)])
        text = model.as_text(render(prompt, problems, i, kept[-1])) + gap
        request = {"mode": "curve", "text": text, "ends": curve.ends, "zeros": curve.zeros, "ones": curve.ones}
        calls.append(Planned(i, kept, text, curve, request))
    same = all(call.payload.tokens[:shared] == calls[0].payload.tokens[:shared] for call in calls)
    shortest = min((call.payload.ends[0] for call in calls), default=0)
    return Plan("curve", reasons, tuple(calls), tuple(too_long), shared if same and shared < shortest else 0)


def _plan_positions(
    model: TokenModel, prompt: Prompt, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]
) -> Plan:
    """One call for each position of each problem, the problems one after the other."""
    try:
        gap = label_gap(prompt, problems, model.as_text)
    except CannotScoreError:
        gap = ""  # in a chat format the label begins the assistant's turn
    calls, too_long = [], []
    for i in range(len(problems)):
        texts = [model.as_text(render(prompt, problems, i, position)) for position in positions]
        places = label_places(texts, gap, prompt.labels, model.tokenize)
        for position, text, place in zip(positions, texts, places, strict=True):
            if len(place.context) + max(len(place.zero), len(place.one)) > model.context_length:
                too_long.append((i, position))
                continue
            request = {"mode": "positions", "text": text + gap, "labels": prompt.labels}
            calls.append(Planned(i, (position,), text + gap, place, request))
    return Plan("positions", reasons, tuple(calls), tuple(too_long))


def _plan_echo(
    model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]
) -> Plan:
    """One call a problem: the longest prompt, and at which character each shorter one ends."""
    gap = label_gap(prompt, problems, model.wire)
    calls = []
    for i in range(len(problems)):
        texts = [model.wire(render(prompt, problems, i, position)) for position in positions]
        if not all(texts[-1].startswith(text) for text in texts):
            raise CannotScoreError(f"prompt '{prompt.name}': a longer prompt does not contain the shorter ones")
        labels = [prompt.labels[problems.shown[i, position]] for position in positions[:-1]]
        request = {
            "mode": "echo",
            "prompt": texts[-1],
            "ends": [len(text) for text in texts],
            "gap": len(gap),
            "labels": [*labels, ""],  # after the last prompt there is no label
            "stop": (),
            "max_tokens": 1,
        }
        calls.append(Planned(i, tuple(positions), texts[-1], None, request))
    return Plan("echo", reasons, tuple(calls))


def _plan_replies(
    model: LanguageModel,
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    mode: str,
    reasons: tuple[str, ...],
    repeats: int,
) -> Plan:
    """One call for each position of each problem and repeat, in the modes `top` and `generate`.

    Asked position by position rather than problem by problem, what a prompt shares with the one before has been read
    when it comes; so have the first repeats.
    """
    calls, too_long = [], []
    constrained = {"constrained": True, "labels": prompt.labels} if model.constrains and prompt.label_comes_next else {}
    for i in range(len(problems)):
        wires = [model.wire(render(prompt, problems, i, position)) for position in positions]
        long = _too_long(model, prompt, wires)
        cuts = _cuts(wires) if model.shares_prefixes else [()] * len(wires)
        for position, wire, does_not_fit, some in zip(positions, wires, long, cuts, strict=True):
            if does_not_fit:
                too_long.append((i, position))
                continue
            request = {
                "mode": mode,
                "prompt": wire,
                "stop": prompt.stop,
                "max_tokens": prompt.max_tokens,
                **constrained,
            }
            if some:
                request["divided"] = True
            for repeat in range(repeats):
                again = {"repeat": repeat} if repeats > 1 else {}
                calls.append(Planned(i, (position,), _shown(wire), some, request | again, repeat))
    calls.sort(key=lambda call: (call.repeat, call.positions))
    return Plan(mode, reasons, tuple(calls), tuple(too_long))


def _too_long(model: LanguageModel, prompt: Prompt, wires: Sequence[Any]) -> list[bool]:
    """Which prompts have no room; where the tokenizer is the provider's, the provider says so."""
    if not isinstance(model, TokenModel):
        return [False] * len(wires)
    return [len(tokens) + prompt.max_tokens > model.context_length for tokens in model.tokenize(wires)]


def _cuts(wires: Sequence[Any]) -> list[tuple[int, ...]]:
    """Where the text of each prompt parts from the one before and from the next, in characters; nothing for prompts
    that are too short to be kept.
    """
    flat = ["".join(message["content"] for message in wire) for wire in wires]
    if estimated_tokens(flat[-1:]) < _LEAST_KEPT:
        return [()] * len(flat)
    borders = [common_length(*pair) for pair in pairwise(flat)]
    return [tuple(sorted({*borders[: j + 1]} - {0})) for j in range(len(flat))]


def _shown(wire: Any) -> str:
    if isinstance(wire, str):
        return wire
    return "\n\n".join(f"[{message['role']}]\n{message['content']}" for message in wire)
