"""A learning curve of 40 positions from one forward pass, against one prompt for each position on the same model
(SmolLM2-135M, float32, n = 7); the bar is 20. Where the processor has instructions for bfloat16, also a pass in it, and
what it changes."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from llm_icl.backends import LanguageModel, backends, find_model
from llm_icl.config.specs import parse_specs
from llm_icl.prompting import load_prompt
from llm_icl.prompting.layout import label_gap, label_places
from llm_icl.prompting.rendering import render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from local_models.trainer import has_bfloat16
from tests.asking.ask import ask as ask_model
from tests.benchmarks.timing import best, show


def run() -> None:
    model = _loaded("smollm2-135m")
    lower = _loaded("smollm2-135m:dtype=bfloat16") if has_bfloat16() else None
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 7, 40, 1)
    prompt = load_prompt(parse_specs(["basic"])[0])

    def ask(mode: str, model: LanguageModel = model) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:  # an empty cache: everything is computed
            return ask_model(model, "basic", problems, Path(folder), mode).answers.probability

    def separate(every_logit: bool) -> np.ndarray:
        """Each position's prompt as a forward pass of its own, nothing shared."""
        gap = label_gap(prompt, problems, model.as_text)
        texts = [model.as_text(render(prompt, problems, 0, k)) for k in range(40)]
        shares = []
        for place in label_places(texts, gap, prompt.labels, model.tokenize):
            keep = 0 if every_logit else 1
            with torch.inference_mode():
                logits = model._model(torch.tensor([place.context]), use_cache=False, logits_to_keep=keep).logits[0, -1]
            shares.append(float(torch.sigmoid(logits[place.one[0]] - logits[place.zero[0]])))
        return np.array([shares])

    ways = {
        "one pass (curve)": (lambda: ask("curve"), 3),
        "prefixes kept (positions)": (lambda: ask("positions"), 1),
        "separate prompts, last logit only": (lambda: separate(False), 1),
        "separate prompts, all logits": (lambda: separate(True), 1),
    }
    ask("curve")  # warm
    if lower is not None:
        change = np.abs(ask("curve", lower) - ask("curve"))
        print(f"in bfloat16 a probability changes by at most {change.max():.1e}, on average {change.mean():.1e}")
        ways["one pass (curve), bfloat16"] = (lambda: ask("curve", lower), 3)
    times = {name: best(work, repeats) for name, (work, repeats) in ways.items()}
    first = times["one pass (curve)"]
    print(f"largest difference of a probability: {np.abs(ask('curve') - separate(False)).max():.1e}")
    show([[name, time, time / first] for name, time in times.items()], ["way", "seconds", "ratio"])


def _loaded(name: str) -> LanguageModel:
    entry = find_model(name)
    return backends.get(entry.backend)(entry)
