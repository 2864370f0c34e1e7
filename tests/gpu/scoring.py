"""Whole-curve scoring of a model of the shape of SmolLM2-135M: curves a second at batch sizes up to the memory, and the
probabilities against those of float32 on the CPU.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from llm_icl.backends.transformers import TransformersModel
from llm_icl.prompting.layout import Curve
from tests.gpu.card import Card, Row
from tests.gpu.language import curves, llama, loaded, problems

_CHECKED = 2


def rows(card: Card) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = llama(Path(folder) / "llama", card.toy)
        drawn = problems(7, 10 if card.toy else 40, 4 if card.toy else 32)
        reference = loaded(path, "cpu", "float32")
        asked = (2 if card.toy else 32) * curves(reference, drawn)[0]  # more than a card holds
        expected = _probabilities(reference, asked[:_CHECKED], 1)
        for dtype in ("bfloat16", "float32"):
            model = loaded(path, card.device, dtype)
            rate = card.product_rate(getattr(torch, dtype))
            with FlopCounterMode(display=False) as counter:
                alone = _probabilities(model, asked[:_CHECKED], 1)
            flops = counter.get_total_flops() / _CHECKED
            size = 1
            while size <= len(asked):
                row: Row = {"what": f"{len(asked[0].tokens)} tokens, {len(asked[0].ends)} positions", "form": dtype}
                row["batch"] = size
                try:
                    with card.peak(row):
                        seconds = card.seconds(lambda size=size, model=model: _probabilities(model, asked[:size], size))
                        found = _probabilities(model, asked[:size], size)[:_CHECKED]
                except torch.OutOfMemoryError:
                    model._torch.cuda.empty_cache()
                    yield row | {"problem": "out of memory"}
                    break
                tokens = sum(len(curve.tokens) for curve in asked[:size])
                yield row | {
                    "curves/s": size / seconds, "tokens/s": tokens / seconds,
                    "of products": size * flops / seconds / rate,
                    "P against CPU": float(np.abs(found - expected[: len(found)]).max()),
                    "P against alone": float(np.abs(found - alone[: len(found)]).max()),
                }  # fmt: skip
                size *= 2
            model.close()


def _probabilities(model: TransformersModel, asked: list[Curve], together: int) -> np.ndarray:
    """P(1) at all positions, with so many curves in a pass."""
    model.problems_at_once = together
    longest = max(len(curve.tokens) for curve in asked)
    with patch("llm_icl.backends.transformers._TOKENS_AT_ONCE", together * longest):
        scores = model.score_curves(asked, 0)
    return np.array([[1 / (1 + np.exp(one.zero - one.one)) for one in curve] for curve in scores])
