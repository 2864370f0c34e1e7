"""A language model as a learner: its replies to prompts, parsed as labels or as P(y = 1)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm_icl.asking.cache import CallCache, call_key
from llm_icl.asking.channels import Channel, OnCalls
from llm_icl.asking.modes import MODES
from llm_icl.asking.modes.base import Plan, Planned
from llm_icl.asking.replies import Outcome, agreed
from llm_icl.backends.exchange import Reply, Request
from llm_icl.problems import STATUSES, Answers, Problems
from llm_icl.prompting.templates import Prompt


@dataclass(frozen=True)
class AnsweredPlan:
    """The outcome of a plan: the answers (N, P), the exchanges, the number of new calls, the reasons for failures, the
    token counts of the replies by kind, and how many answers have no probability, by reason.
    """

    answers: Answers
    exchanges: list[dict[str, Any]]
    new: int
    failures: list[str]
    usage: Mapping[str, int]
    without_probability: Mapping[str, int]

    @property
    def agreement(self) -> float | None:
        """The mean fraction of repeats that agree with the majority answer; None without repeats."""
        shares = self.answers.agreement
        known = shares[~np.isnan(shares)] if shares is not None else np.array([])
        return float(known.mean()) if known.size else None


def missing_requests(plan: Plan, identity: dict[str, Any], cache: CallCache | None) -> dict[str, Request]:
    """The requests of a plan that are not in the cache, by key."""
    calls = {call_key(identity, call.request.data()): call for call in plan.calls}
    known, _ = _cached(plan, calls, cache) if cache else ({}, [])
    return {key: call.request for key, call in calls.items() if key not in known}


def _cached(plan: Plan, calls: Mapping[str, Planned], cache: CallCache) -> tuple[dict[str, Reply], list[str]]:
    """The cached replies by key, and the keys of those in which nothing can be used."""
    good: dict[str, Reply] = {}
    bad: list[str] = []
    for key, cached in cache.get(calls).items():
        reply = cached.reply
        usable = reply.status != "error" and reply.fits(plan.mode, len(calls[key].positions))
        if usable and not MODES[plan.mode].fault(reply):
            good[key] = reply
        else:
            bad.append(key)
    return good, bad


def answer_plan(
    plan: Plan,
    identity: dict[str, Any],
    prompt: Prompt,
    problems: Problems,
    positions: Sequence[int],
    cache: CallCache,
    channel: Channel,
    on_calls: OnCalls = lambda done, what: None,
    on_known: Callable[[], None] = lambda: None,
) -> AnsweredPlan:
    """Answer a plan from the cache, and make missing calls over the channel; `on_known` is called before these if the
    cache has replies.

    Modes with label probabilities normalise P(y = 1) over the two labels; unusable replies get no answer.
    """
    mode = MODES[plan.mode]
    keys = [call_key(identity, call.request.data()) for call in plan.calls]
    known, bad = _cached(plan, dict(zip(keys, plan.calls, strict=True)), cache)
    if bad:
        cache.forget(bad)
    if known:
        on_known()
    on_calls(len(known), "")
    missing = {key: call.request for key, call in zip(keys, plan.calls, strict=True) if key not in known}
    known |= channel.send(missing, on_calls)

    outcomes: dict[tuple[int, int], list[Outcome]] = {place: [Outcome(status="too_long")] for place in plan.too_long}
    exchanges, failures = [], []
    without: Counter[str] = Counter()
    for key, call in zip(keys, plan.calls, strict=True):
        reply = known.get(key) or Reply(status="error", message="no answer")
        fault = reply.message if reply.status == "error" else mode.fault(reply)
        if fault:
            failures.append(fault)
        unanswered = [Outcome(status=reply.status)] * len(call.positions)
        read = unanswered if reply.status else mode.read(reply, prompt)
        for position, outcome in zip(call.positions, read, strict=True):
            outcomes.setdefault((call.problem, position), []).append(outcome)
            without.update([outcome.reason] if outcome.reason and not fault else [])
        exchanges.append(
            {
                "problem": int(problems.indices[call.problem]),
                "positions": list(call.positions),
                "text": call.text,
                "reply": reply.data(),
            }
            | ({} if call.request.repeat is None else {"repeat": call.request.repeat})
        )
    usage: Counter[str] = Counter()
    for key in dict.fromkeys(keys):  # one reply may serve several calls
        usage.update(known[key].usage or {} if key in known else {})
    answers = _answers(outcomes, len(problems), positions)
    return AnsweredPlan(answers, exchanges, len(missing), failures, usage, without)


def _answers(outcomes: Mapping[tuple[int, int], list[Outcome]], problems: int, positions: Sequence[int]) -> Answers:
    shape = (problems, len(positions))
    probability, agreement, mass = (np.full(shape, np.nan) for _ in range(3))
    prediction, status = np.full(shape, -1, dtype=np.int8), np.zeros(shape, dtype=np.uint8)
    for i in range(problems):
        for j, position in enumerate(positions):
            outcome = agreed(outcomes[i, position])
            probability[i, j], agreement[i, j], mass[i, j] = outcome.probability, outcome.agreement, outcome.mass
            prediction[i, j] = -1 if outcome.label is None else outcome.label
            status[i, j] = STATUSES.index(outcome.status)
    return Answers(probability, prediction, status, agreement, mass)
