"""A language model as a learner: its answers to prompts, read as P(y = 1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from llm_icl.backends.base import LabelScores, LanguageModel, Reply
from llm_icl.learners.base import Learner
from llm_icl.learners.planning import Plan, Planned, plan_for
from llm_icl.problems import STATUSES, Answers, Problems
from llm_icl.prompting.templates import Prompt
from llm_icl.runs.calls import Call, CallCache, call_key

Progress = Callable[[int], None]


@dataclass(frozen=True)
class LanguageModelLearner(Learner):
    """A model behind a prompt. In the modes `curve` and `positions` P(y = 1) compares the probabilities of both labels;
    in the mode `generate` the model writes, and a reply that is no answer stays without one.
    """

    model: LanguageModel
    prompt: Prompt
    cache: CallCache
    mode: str = "auto"

    def answer(self, problems: Problems) -> Answers:
        positions = range(problems.points)
        plan = plan_for(self.model, self.prompt, problems, positions, self.mode)
        return self.carry_out(plan, problems, positions)[0]

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
                label, outcome = self._read(reply)
                prediction[places] = -1 if label is None else label
                status[places] = STATUSES.index(outcome)
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

    def _read(self, reply: dict[str, Any]) -> tuple[int | None, str]:
        """The label that a written reply gives, and its status. Reasoning that was cut off has not come to a label."""
        label = self.prompt.parse(reply["text"])
        if reply["truncated"] and (label is None or not self.prompt.label_comes_next):
            return None, "truncated"
        return label, "unparseable" if label is None else "ok"

    def _ask(self, plan: Plan, calls: Sequence[Planned]) -> list[dict[str, Any]]:
        payloads = [call.payload for call in calls]
        if plan.mode == "curve":
            return [_scores(scores) for scores in self.model.score_curves(payloads, plan.shared)]
        if plan.mode == "positions":
            return [_scores(self.model.score_positions(places)) for places in payloads]
        replies = self.model.generate(payloads, self.prompt.max_tokens, self.prompt.stop)
        return [_written(reply) for reply in replies]


def _scores(scores: Sequence[LabelScores]) -> dict[str, Any]:
    return {"scores": [[score.zero, score.one] for score in scores]}


def _written(reply: Reply) -> dict[str, Any]:
    return {"text": reply.text, "truncated": reply.truncated}
