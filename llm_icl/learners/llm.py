"""A language model as a learner: its answers to prompts, read as P(y = 1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm_icl.backends.base import MODES, LabelScores, LanguageModel, Reply
from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner
from llm_icl.problems import STATUSES, Answers, Problems
from llm_icl.prompting.layout import CannotScoreError, curve_of, label_gap, label_places, shared_text
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt
from llm_icl.runs.calls import Call, CallCache, call_key

Progress = Callable[[int], None]


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


@dataclass(frozen=True)
class LanguageModelLearner(Learner):
    """A model behind a prompt. In the modes `curve` and `positions` P(y = 1) compares the probabilities of both labels;
    in the mode `generate` the model writes, and a reply that is no answer stays without one.
    """

    model: LanguageModel
    prompt: Prompt
    cache: CallCache
    mode: str = "auto"

    def plan(self, problems: Problems, positions: Sequence[int]) -> Plan:
        """Choose the best mode that is exact for all the problems, or the one that was asked for.

        Raises RequestError where the asked one is not possible.
        """
        wanted = MODES if self.mode == "auto" else (self.mode,)
        reasons: list[str] = []
        for mode in wanted:
            try:
                if mode != "generate" and not self.prompt.label_comes_next:
                    raise CannotScoreError(f"prompt '{self.prompt.name}' asks for more than the label")
                return _PLANNERS[mode](self, problems, positions, tuple(reasons))
            except CannotScoreError as reason:
                reasons.append(f"{mode}: {reason}")
        raise RequestError(f"the model cannot be asked so: {'; '.join(reasons)}")

    def answer(self, problems: Problems) -> Answers:
        return self.carry_out(self.plan(problems, range(problems.points)), problems, range(problems.points))[0]

    def carry_out(
        self, plan: Plan, problems: Problems, positions: Sequence[int], progress: Progress = lambda done: None
    ) -> tuple[Answers, list[dict[str, Any]], int]:
        """The answers [N, P], what was exchanged, and how many calls were new."""
        identity = self.model.identity()
        keys = [call_key(identity, call.request) for call in plan.calls]
        known = self.cache.get(keys)
        new = sum(key not in known for key in keys)
        size = self.model.curves_at_once if plan.mode == "curve" else 1
        for start in range(0, len(plan.calls), size):
            # Blocks are the same on every run, so what a prompt is scored together with is too.
            block = range(start, min(start + size, len(plan.calls)))
            if any(keys[i] not in known for i in block):
                replies = self._ask(plan, [plan.calls[i] for i in block])
                calls = [Call(keys[i], plan.calls[i].request, reply) for i, reply in zip(block, replies, strict=True)]
                self.cache.put(calls)
                known |= {call.key: call for call in calls}
            progress(len(block))
        column = {position: j for j, position in enumerate(positions)}
        shape = (len(problems), len(positions))
        probability, prediction = np.full(shape, np.nan), np.full(shape, -1, dtype=np.int8)
        status = np.full(shape, STATUSES.index("error"), dtype=np.uint8)
        for problem, position in plan.too_long:
            status[problem, column[position]] = STATUSES.index("too_long")
        exchanges = []
        for key, call in zip(keys, plan.calls, strict=True):
            reply = known[key].reply
            places = (call.problem, [column[position] for position in call.positions])
            if plan.mode == "generate":
                label = self.prompt.parse(reply["text"])
                missing = "truncated" if reply["truncated"] else "unparseable"
                prediction[places] = -1 if label is None else label
                status[places] = STATUSES.index("ok" if label is not None else missing)
            else:
                zero, one = np.array(reply["scores"]).T
                share = 1 / (1 + np.exp(zero - one))
                probability[places], prediction[places] = share, share > 0.5
                status[places] = STATUSES.index("ok")
            exchanges.append(
                {
                    "problem": int(problems.indices[call.problem]),
                    "positions": list(call.positions),
                    "text": call.text,
                    "reply": reply,
                }
            )
        return Answers(probability, prediction, status), exchanges, new

    def _ask(self, plan: Plan, calls: Sequence[Planned]) -> list[dict[str, Any]]:
        payloads = [call.payload for call in calls]
        if plan.mode == "curve":
            return [_scores(scores) for scores in self.model.score_curves(payloads, plan.shared)]
        if plan.mode == "positions":
            return [_scores(self.model.score_positions(places)) for places in payloads]
        replies = self.model.generate(payloads, self.prompt.max_tokens, self.prompt.stop)
        return [_written(reply) for reply in replies]

    def _plan_curve(self, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]) -> Plan:
        """One call a problem: the longest prompt that fits."""
        model, prompt = self.model, self.prompt
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

    def _plan_positions(self, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]) -> Plan:
        """One call a problem, which scores one prompt for each position."""
        model, prompt = self.model, self.prompt
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

    def _plan_generate(self, problems: Problems, positions: Sequence[int], reasons: tuple[str, ...]) -> Plan:
        """One call for each position of each problem."""
        model, prompt = self.model, self.prompt
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


_PLANNERS = {
    "curve": LanguageModelLearner._plan_curve,
    "positions": LanguageModelLearner._plan_positions,
    "generate": LanguageModelLearner._plan_generate,
}


def _scores(scores: Sequence[LabelScores]) -> dict[str, Any]:
    return {"scores": [[score.zero, score.one] for score in scores]}


def _written(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "truncated": reply.truncated}
