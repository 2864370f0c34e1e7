"""What a request would ask, and what it would cost: nothing is loaded and nothing is sent."""

from collections.abc import Callable, Sequence
from pathlib import Path

from llm_icl.backends import ModelEntry, backends
from llm_icl.backends.remote import RemoteModel, estimated_tokens
from llm_icl.function_classes import draw_problems
from llm_icl.learners.llm import missing_calls
from llm_icl.learners.planning import plan_for
from llm_icl.problems import Problems
from llm_icl.prompting.rendering import render
from llm_icl.prompting.templates import Prompt
from llm_icl.request import Cell, Request, cells
from llm_icl.runs.batching import DISCOUNT
from llm_icl.runs.calls import CallCache


class _Sum:
    """Calls, of which some are in the cache, their tokens by estimate, and US dollars: about for input, at most for
    output.
    """

    def __init__(self) -> None:
        self.calls = self.known = self.tokens = self.written = 0
        self.dollars = self.dollars_written = 0.0


def say_what_would_be_asked(
    requests: Sequence[Request], cache_path: Path, batch: bool, say: Callable[[str], None]
) -> None:
    """One line a model and cell, and the whole."""
    cache = CallCache(cache_path) if cache_path.is_file() else None
    whole = _Sum()
    for request in requests:
        for cell in cells(request):
            say(f"{cell}: {request.problems} problems of {request.points} points")
            drawn = draw_problems(cell.task, cell.n, request.points, request.problems, cell.seed)
            for entry in request.models:
                for prompt in request.prompts:
                    say("  " + _line(request, cell, drawn, entry, prompt, cache, batch, whole))
    price = (
        f"; about ${whole.dollars:.2f} for what is read and at most ${whole.dollars_written:.2f} for what is written"
        if whole.dollars
        else ""
    )
    say(f"{whole.calls} calls, {whole.known} of them answered already, about {whole.tokens} tokens{price}")
    say("nothing was sent")


def _line(
    request: Request, cell: Cell, drawn: Problems, entry: ModelEntry, prompt: Prompt, cache: CallCache | None,
    batch: bool, whole: _Sum,
) -> str:  # fmt: skip
    name = f"{entry.name}, prompt {prompt.name}: "
    versions = [drawn, drawn.with_shuffled_labels()] if request.shuffled_labels else [drawn]
    backend = backends.get(entry.backend)
    if not issubclass(backend, RemoteModel) or entry.backend == "vllm-server":
        # Which mode is possible shows when the tokenizer is there; as a rule it is a whole curve.
        texts = [render(prompt, shown, i, request.positions[-1]).text for shown in versions for i in range(len(shown))]
        tokens = estimated_tokens(texts)
        whole.calls += len(texts)
        whole.tokens += tokens
        return f"{name}{len(texts)} prompts, one for each problem where a whole curve can be scored, {tokens} tokens"
    model = backend(entry)
    here = _Sum()
    mode = ""
    for shown in versions:
        plan = plan_for(model, prompt, shown, request.positions, request.mode, request.repeats)
        mode = plan.mode
        missing = missing_calls(plan, model.identity(), cache)
        here.calls += len(plan.calls)
        here.known += len(plan.calls) - len(missing)
        here.tokens += sum(estimated_tokens([call.text]) for call in missing.values())
        here.written += sum(model.longest_reply(call) for call in missing.values())
    price, share = entry.price, DISCOUNT if batch else 1.0
    here.dollars = share * here.tokens * price.get("input", 0.0) / 1e6
    here.dollars_written = share * here.written * price.get("output", 0.0) / 1e6
    for key, value in vars(here).items():
        setattr(whole, key, getattr(whole, key) + value)
    cost = (
        f"about ${here.dollars:.2f} for what is read, at most ${here.dollars_written:.2f} for what is written "
        f"(prices of {entry.priced})"
        if price
        else "no price is known"
    )
    return f"{name}{here.calls} calls in the mode {mode}, {here.known} answered already, {here.tokens} tokens, {cost}"
