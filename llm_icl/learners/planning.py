"""Which calls answer a cell: the best mode that is exact, and for each call what the backend needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llm_icl.backends.base import MODES, LanguageModel
from llm_icl.errors import RequestError
from llm_icl.problems import Problems
from llm_icl.prompting.layout import CannotScoreError, curve_of, label_gap, label_places, shared_text
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt


@dataclass(frozen=True)
class Planned:
    """One call that is to be made: for problem `problem` at `positions`, with what the backend needs for it."""

    problem: int
    positions: tuple[int, ...]
    text: str
    payload: Any
    request: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """The calls of one cell, all in one mode, and why a better mode was not possible."""

    mode: str
    reasons: tuple[str, ...]
    calls: tuple[Planned, ...]
    too_long: tuple[tuple[int, int], ...]
    shared: int = 0


def plan_for(
    model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], mode: str = "auto"
) -> Plan:
    """Choose the best mode that is exact for all the problems, or the one that was asked for.

    Raises RequestError where the asked one is not possible.
    """
    reasons: list[str] = []
    for candidate in MODES if mode == "auto" else (mode,):
        try:
            if candidate != "generate" and not prompt.label_comes_next:
                raise CannotScoreError(f"prompt '{prompt.name}' asks for more than the label")
            return _PLANNERS[candidate](model, prompt, problems, positions, tuple(reasons))
        except CannotScoreError as reason:
            reasons.append(f"{candidate}: {reason}")
    raise RequestError(f"the model cannot be asked so: {'; '.join(reasons)}")


def _plan_curve(
    model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]
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
    model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]
) -> Plan:
    """One call a problem, which scores one prompt for each position."""
    try:
        gap = label_gap(prompt, problems, model.as_text)
    except CannotScoreError:
        gap = ""  # in a chat format the label begins the assistant's turn
    calls, too_long = [], []
    for i in range(len(problems)):
        texts = [model.as_text(render(prompt, problems, i, position)) for position in positions]
        places = label_places(texts, gap, prompt.labels, model.tokenize)
        fits = [len(p.context) + max(len(p.zero), len(p.one)) <= model.context_length for p in places]
        too_long += [(i, position) for position, fit in zip(positions, fits, strict=True) if not fit]
        kept = [j for j, fit in enumerate(fits) if fit]
        if kept:
            request = {"mode": "positions", "texts": [texts[j] + gap for j in kept], "labels": prompt.labels}
            chosen = tuple(positions[j] for j in kept)
            calls.append(Planned(i, chosen, texts[kept[-1]] + gap, [places[j] for j in kept], request))
    return Plan("positions", reasons, tuple(calls), tuple(too_long))


def _plan_generate(
    model: LanguageModel, prompt: Prompt, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]
) -> Plan:
    """One call for each position of each problem."""
    calls, too_long = [], []
    for i in range(len(problems)):
        texts = [model.as_text(render(prompt, problems, i, position)) for position in positions]
        for position, text, tokens in zip(positions, texts, model.tokenize(texts), strict=True):
            if len(tokens) + prompt.max_tokens > model.context_length:
                too_long.append((i, position))
                continue
            request = {"mode": "generate", "text": text, "stop": prompt.stop, "max_tokens": prompt.max_tokens}
            calls.append(Planned(i, (position,), text, text, request))
    return Plan("generate", reasons, tuple(calls), tuple(too_long))


_PLANNERS = {"curve": _plan_curve, "positions": _plan_positions, "generate": _plan_generate}
