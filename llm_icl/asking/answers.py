"""A language model as a learner: its answers to prompts, read as P(y = 1)."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from llm_icl.asking.cache import Call, CallCache, call_key
from llm_icl.asking.plan import Plan, Planned
from llm_icl.asking.replies import Outcome, agreed, read_reply
from llm_icl.backends.base import LabelScores, LocalModel, Reply
from llm_icl.problems import STATUSES, Answers, Problems
from llm_icl.prompting.templates import Prompt

# Told how many calls are done since the last time, and what goes on.
Progress = Callable[[int, str], None]


class Line(Protocol):
    """How calls that are not in the cache are answered: by key, a reply or {"status": …, "message": …}."""

    def send(self, calls: Mapping[str, Planned], progress: Progress) -> dict[str, dict[str, Any]]: ...


@dataclass(frozen=True)
class Carried:
    """What became of a plan: the answers [N, P], what was exchanged, how many calls were new, why calls failed."""

    answers: Answers
    exchanges: list[dict[str, Any]]
    new: int
    failures: list[str]

    @property
    def agreement(self) -> float | None:
        """The mean share of repeats that gave the answer that stands; None where nothing was repeated."""
        shares = self.answers.agreement
        known = shares[~np.isnan(shares)] if shares is not None else np.array([])
        return float(known.mean()) if known.size else None


def missing_calls(plan: Plan, identity: dict[str, Any], cache: CallCache | None) -> dict[str, Planned]:
    """The calls of a plan that the cache does not know, by key."""
    calls = {call_key(identity, call.request): call for call in plan.calls}
    known = cache.get(calls) if cache else {}
    return {key: call for key, call in calls.items() if key not in known}


def carry_out(
    plan: Plan,
    identity: dict[str, Any],
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    cache: CallCache,
    line: Line,
    progress: Progress = lambda done, what: None,
) -> Carried:
    """Answer a plan from the cache, and over the line what is not there.

    In the modes with probabilities P(y = 1) compares those of both labels; a reply that is no answer stays without one.
    """
    keys = [call_key(identity, call.request) for call in plan.calls]
    known = {key: call.reply for key, call in cache.get(keys).items()}
    progress(len(known), "")
    missing = {key: call for key, call in zip(keys, plan.calls, strict=True) if key not in known}
    known |= line.send(missing, progress)

    outcomes: dict[tuple[int, int], list[Outcome]] = {place: [Outcome(status="too_long")] for place in plan.too_long}
    exchanges, failures = [], []
    for key, call in zip(keys, plan.calls, strict=True):
        reply = known.get(key, {"status": "error", "message": "no answer"})
        if reply.get("status") == "error":
            failures.append(reply["message"])
        for position, outcome in zip(call.positions, read_reply(reply, prompt, len(call.positions)), strict=True):
            outcomes.setdefault((call.problem, position), []).append(outcome)
        exchanges.append(
            {
                "problem": int(problems.indices[call.problem]),
                "positions": list(call.positions),
                "text": call.text,
                "reply": reply,
            }
            | ({"repeat": call.repeat} if "repeat" in call.request else {})
        )
    return Carried(_answers(outcomes, len(problems), positions), exchanges, len(missing), failures)


def _answers(outcomes: Mapping[tuple[int, int], list[Outcome]], problems: int, positions: Sequence[int]) -> Answers:
    shape = (problems, len(positions))
    probability, agreement = np.full(shape, np.nan), np.full(shape, np.nan)
    prediction, status = np.full(shape, -1, dtype=np.int8), np.zeros(shape, dtype=np.uint8)
    for i in range(problems):
        for j, position in enumerate(positions):
            outcome = agreed(outcomes[i, position])
            probability[i, j], agreement[i, j] = outcome.probability, outcome.agreement
            prediction[i, j] = -1 if outcome.label is None else outcome.label
            status[i, j] = STATUSES.index(outcome.status)
    return Answers(probability, prediction, status, agreement)


@dataclass(frozen=True)
class LocalLine:
    """Calls to a model in this process, in blocks that are kept as they are finished."""

    model: LocalModel
    plan: Plan
    prompt: Prompt
    cache: CallCache

    def send(self, calls: Mapping[str, Planned], progress: Progress) -> dict[str, dict[str, Any]]:
        keys = {id(call): key for key, call in calls.items()}
        replies: dict[str, dict[str, Any]] = {}
        for block in self._blocks():
            missing = [call for call in block if id(call) in keys]
            if not missing:
                continue
            # Blocks are the same on every run, so what a prompt is scored together with is too.
            done = [Call(keys[id(c)], c.request, reply) for c, reply in self._ask(block) if id(c) in keys]
            self.cache.put(done)
            replies |= {call.key: call.reply for call in done}
            progress(len(missing), "")
        return replies

    def _blocks(self) -> Iterable[list[Planned]]:
        """Texts by number, what is scored by problems."""
        calls = self.plan.calls
        if self.plan.mode == "generate":
            size = self.model.texts_at_once
            return [list(calls[start : start + size]) for start in range(0, len(calls), size)]
        blocks: dict[int, list[Planned]] = {}
        for call in calls:
            blocks.setdefault(call.problem // self.model.problems_at_once, []).append(call)
        return blocks.values()

    def _ask(self, calls: Sequence[Planned]) -> list[tuple[Planned, dict[str, Any]]]:
        payloads = [call.payload for call in calls]
        if self.plan.mode == "curve":
            replies = [scores_reply(scores) for scores in self.model.score_curves(payloads, self.plan.shared)]
        elif self.plan.mode == "positions":
            replies = [scores_reply([scores]) for scores in self.model.score_positions(payloads)]
        else:
            texts = [call.request["prompt"] for call in calls]
            written = self.model.generate(texts, self.prompt.max_tokens, self.prompt.stop)
            replies = [_written(reply) for reply in written]
        return list(zip(calls, replies, strict=True))


def scores_reply(scores: Sequence[LabelScores]) -> dict[str, Any]:
    return {"scores": [[score.zero, score.one] for score in scores]}


def _written(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "truncated": reply.truncated}
