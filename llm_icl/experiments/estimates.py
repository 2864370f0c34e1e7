"""Estimates the calls and cost of questions; nothing is loaded or sent."""

from collections.abc import Sequence
from dataclasses import dataclass

from llm_icl.asking.answers import missing_requests
from llm_icl.asking.batches import DISCOUNT
from llm_icl.asking.cache import CallCache, call_key
from llm_icl.backends import ModelEntry, backends
from llm_icl.backends.base import LanguageModel, TokenModel
from llm_icl.backends.hosted.model import RemoteModel
from llm_icl.config.specs import counted
from llm_icl.experiments.asker import Questions
from llm_icl.prompting.rendering import render
from llm_icl.prompting.token_estimate import estimated_tokens


@dataclass(frozen=True)
class Estimate:
    """The number of calls and of cached ones, the estimated prompt tokens of the others, and US dollars: an estimate
    for input, a maximum for output.
    """

    calls: int = 0
    known: int = 0
    tokens: int = 0
    read: float = 0.0
    written: float = 0.0

    def __add__(self, other: "Estimate") -> "Estimate":
        return Estimate(
            self.calls + other.calls,
            self.known + other.known,
            self.tokens + other.tokens,
            self.read + other.read,
            self.written + other.written,
        )

    def __str__(self) -> str:
        text = f"{counted(self.calls, 'call')}, {self.known:,} of them cached, about {self.tokens:,} tokens"
        if not self.read:
            return text
        return f"{text}; about ${self.read:.2f} for input, at most ${self.written:.2f} for output"


def estimate(
    entry: ModelEntry, asked: Sequence[Questions], cache: CallCache | None, batch: bool, planned: set[str]
) -> tuple[str, Estimate]:
    """The mode of a model, and the estimate of its calls. Equal ones are made once: those that are `planned` already
    are left out, and the others added to them.
    """
    backend = backends.get(entry.backend)
    if not issubclass(backend, RemoteModel) or issubclass(backend, TokenModel):  # planning requires its tokenizer
        curve = all(_may_score_curves(each, backend) for each in asked)
        texts = [
            render(each.prompt, each.shown, i, position).text
            for each in asked
            for i in range(len(each.shown))
            for position in (each.positions[-1:] if curve else each.positions)
        ]
        several = "one call a problem if whole curves can be scored, which is determined when the model is loaded"
        how = f"{several}; otherwise one a position" if curve else "one call a position"
        return how, Estimate(len(texts), 0, estimated_tokens(texts))
    model = backend(entry)
    share = (DISCOUNT if batch else 1.0) / 1e6
    whole, mode = Estimate(), ""
    for each in asked:
        plan = each.plan(model)
        calls = {call_key(model.identity(), call.request.data()): call for call in plan.calls}
        calls = {key: call for key, call in calls.items() if key not in planned}
        planned.update(calls)
        missing = {key: one for key, one in missing_requests(plan, model.identity(), cache).items() if key in calls}
        tokens = estimated_tokens([calls[key].text for key in missing])
        written = sum(model.longest_reply(request) for request in missing.values())
        price, mode = entry.price, plan.mode
        whole += Estimate(
            len(calls),
            len(calls) - len(missing),
            tokens,
            share * tokens * price.get("input", 0.0),
            share * written * price.get("output", 0.0),
        )
    prices = f"prices of {entry.priced}" if entry.price else "price unknown"
    return f"mode {mode}, {prices}", whole


def _may_score_curves(asked: Questions, backend: type[LanguageModel]) -> bool:
    """Whether one call may answer all positions of a problem; what else that depends on is known from the model."""
    several = issubclass(backend, TokenModel) and len(asked.positions) >= max(2, backend.least_curve)
    return several and asked.mode in ("auto", "curve") and asked.prompt.label_comes_next
