"""Prints the calls of evaluations and their estimated cost; nothing is loaded or sent."""

from collections.abc import Callable, Sequence
from pathlib import Path

from llm_icl.asking.cache import CallCache
from llm_icl.config.specs import counted
from llm_icl.experiments.asker import Questions
from llm_icl.experiments.estimates import Estimate, estimate
from llm_icl.experiments.evaluation.request import Request
from llm_icl.experiments.evaluation.steps import settings
from llm_icl.tasks.drawing import draw_problems


def print_estimates(requests: Sequence[Request], cache_path: Path, batch: bool, say: Callable[[str], None]) -> None:
    """Print one line per model and cell, and the total."""
    cache = CallCache(cache_path) if cache_path.is_file() else None
    whole, planned = Estimate(), set[str]()
    for request in requests:
        for setting in settings(request):
            say(f"{setting}: {counted(request.problems, 'problem')} of {counted(request.points, 'point')}")
            drawn = draw_problems(setting.task, setting.n, request.points, request.problems, setting.seed)
            versions = [drawn, drawn.with_shuffled_labels()] if request.shuffled_labels else [drawn]
            for entry in request.models:
                for prompt in request.prompts:
                    asked = [
                        Questions(str(setting), prompt, shown, request.positions, request.mode, request.repeats)
                        for shown in versions
                    ]
                    how, calls = estimate(entry, asked, cache, batch, planned)
                    say(f"  {entry.name}, prompt {prompt.name}: {calls}; {how}")
                    whole += calls
    say(f"{whole}\ndry run: nothing was sent")
