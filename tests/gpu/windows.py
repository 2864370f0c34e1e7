"""A model with sliding windows, several problems together and one after the other, with and without an instruction that
all share: probabilities against float32 on the CPU, each position's prompt on its own.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from llm_icl.backends.transformers import TransformersModel
from llm_icl.config.specs import parse_specs
from llm_icl.problems import Problems
from llm_icl.prompting import load_prompt
from llm_icl.prompting.layout import label_gap, label_places
from llm_icl.prompting.rendering import render
from tests.gpu.card import Card, Row
from tests.gpu.language import curves, loaded, problems, sliding

_ALLOWED = 1e-4


def rows(card: Card) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path, drawn = sliding(Path(folder) / "sliding"), problems(5, 12, 3)
        reference, model = loaded(path, "cpu", "float32"), loaded(path, card.device, "float32")
        for prompt in ("basic", "pac"):
            expected = _separate(reference, drawn, prompt)
            spread = float(expected.std())  # else the comparison could not fail
            for form, together in (("one after the other", 1), ("together", len(drawn))):
                model.problems_at_once = together
                asked, shared = curves(model, drawn, prompt)
                scores = model.score_curves(asked, shared)
                found = np.array([[_one(each.zero, each.one) for each in curve] for curve in scores])
                worst = float(np.abs(found - expected).max())
                yield {
                    "what": f"curve, {prompt}",
                    "form": form,
                    "P against CPU": worst,
                    "spread of P": spread,
                    "holds": worst < _ALLOWED,
                }
            found = _stepping(model, drawn, prompt)
            worst = float(np.abs(found - expected).max())
            yield {
                "what": f"positions, {prompt}",
                "form": "keys kept",
                "P against CPU": worst,
                "holds": worst < _ALLOWED,
            }


def _one(zero: float, one: float) -> float:
    return float(1 / (1 + np.exp(zero - one)))


def _places(model: TransformersModel, drawn: Problems, name: str, problem: int):  # type: ignore[no-untyped-def]
    prompt = load_prompt(parse_specs([name])[0])
    texts = [model.as_text(render(prompt, drawn, problem, k)) for k in range(drawn.points)]
    return label_places(texts, label_gap(prompt, drawn, model.as_text), prompt.labels, model.tokenize)


def _separate(model: TransformersModel, drawn: Problems, prompt: str) -> np.ndarray:
    """Each position's prompt as a forward pass of its own."""
    found = np.empty((len(drawn), drawn.points))
    for i in range(len(drawn)):
        for k, place in enumerate(_places(model, drawn, prompt, i)):
            with torch.inference_mode():
                logits = model._model(torch.tensor([place.context], device=model._device), use_cache=False).logits[
                    0, -1
                ]
            found[i, k] = torch.sigmoid((logits[place.one[0]] - logits[place.zero[0]]).double())
    return found


def _stepping(model: TransformersModel, drawn: Problems, prompt: str) -> np.ndarray:
    """From the longest prompt to the shortest and on to the next problem: the cache is cut back beyond the window."""
    found = np.empty((len(drawn), drawn.points))
    for i in range(len(drawn)):
        scores = model.score_positions(_places(model, drawn, prompt, i)[::-1])
        found[i] = [_one(each.zero, each.one) for each in scores][::-1]
    return found
