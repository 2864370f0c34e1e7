"""Estimates the calls and cost of a request; nothing is loaded or sent."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_icl.asking.answers import missing_requests
from llm_icl.asking.batches import DISCOUNT
from llm_icl.asking.cache import CallCache, call_key
from llm_icl.asking.plan import plan_for
from llm_icl.backends import ModelEntry, backends
from llm_icl.backends.base import TokenModel
from llm_icl.backends.hosted.model import RemoteModel
from llm_icl.config.specs import counted
from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.evaluation.steps import settings
from llm_icl.problems import Problems
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt
from llm_icl.prompting.token_estimate import estimated_tokens
from llm_icl.tasks.drawing import draw_problems


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


def print_estimates(requests: Sequence[Request], cache_path: Path, batch: bool, say: Callable[[str], None]) -> None:
    """Print one line per model and cell, and the total."""
    cache = CallCache(cache_path) if cache_path.is_file() else None
    whole = Estimate()
    for request in requests:
        for setting in settings(request):
            say(f"{setting}: {counted(request.problems, 'problem')} of {counted(request.points, 'point')}")
            drawn = draw_problems(setting.task, setting.n, request.points, request.problems, setting.seed)
            versions = [drawn, drawn.with_shuffled_labels()] if request.shuffled_labels else [drawn]
            for entry in request.models:
                for prompt in request.prompts:
                    how, estimate = _estimate(request, versions, entry, prompt, cache, batch)
                    say(f"  {entry.name}, prompt {prompt.name}: {estimate}; {how}")
                    whole += estimate
    say(f"{whole}\ndry run: nothing was sent")


def _estimate(
    request: Request, versions: Sequence[Problems], entry: ModelEntry, prompt: Prompt, cache: CallCache | None,
    batch: bool,
) -> tuple[str, Estimate]:  # fmt: skip
    """The mode of a model, and the estimate of its calls."""
    backend = backends.get(entry.backend)
    if not issubclass(backend, RemoteModel) or issubclass(backend, TokenModel):  # planning requires its tokenizer
        last = request.positions[-1]
        texts = [render(prompt, shown, i, last).text for shown in versions for i in range(len(shown))]
        how = "fewer calls if whole curves can be scored, which is determined when the model is loaded"
        return how, Estimate(len(texts), 0, estimated_tokens(texts))
    model = backend(entry)
    share = (DISCOUNT if batch else 1.0) / 1e6
    estimate, mode = Estimate(), ""
    for shown in versions:
        plan = plan_for(model, prompt, shown, request.positions, request.mode, request.repeats)
        calls = {
            call_key(model.identity(), call.request.data()): call for call in plan.calls
        }  # duplicates are made once
        missing = missing_requests(plan, model.identity(), cache)
        tokens = estimated_tokens([calls[key].text for key in missing])
        written = sum(model.longest_reply(request) for request in missing.values())
        price, mode = entry.price, plan.mode
        estimate += Estimate(
            len(calls),
            len(calls) - len(missing),
            tokens,
            share * tokens * price.get("input", 0.0),
            share * written * price.get("output", 0.0),
        )
    prices = f"prices of {entry.priced}" if entry.price else "price unknown"
    return f"mode {mode}, {prices}", estimate
