"""Cost of each architecture against the length of a sequence: forward and backward passes of one block, width 64, two
sequences, one thread; processor seconds, the exponent of their growth over the last three doublings, and peak memory.

Where a mixer has a chunked form or a cheaper filter, the plain one stands beside it ("before"), up to a length where it
takes seconds, and the memory at that length. `LLM_ICL_MIXERS=mamba,retnet` measures these only.
"""

import gc
import math
import multiprocessing
import os
import resource
import time
from contextlib import ExitStack
from unittest.mock import patch

import torch

from local_models.architectures import architectures
from local_models.backbone import Backbone, Shape
from tests.benchmarks.timing import best, show
from tests.local_models import plain_forms

LENGTHS = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
# Quadratic forms need gigabytes beyond this.
_PLAIN = 2048

# What is exchanged for the plain forms, by the module that uses it.
_SUMS = {"decayed_sums": plain_forms.parallel_decayed_sums}
_DELTA = {"delta_rule": plain_forms.parallel_delta_rule}
_FILTERS = {"exponential_sums": plain_forms.exponential_sums, "causal_convolution": plain_forms.causal_convolution}
PLAIN = {
    "linear-attention": ("linear_attention", _SUMS),
    "retnet": ("retnet", _SUMS),
    "retnet-reduced": ("retnet", _SUMS),
    "mamba2": ("mamba2", _SUMS),
    "deltanet": ("deltanet", _DELTA),
    "gated-deltanet": ("deltanet", _DELTA),
    "gated-deltanet-negative": ("deltanet", _DELTA),
    "mamba": ("mamba", {"selective_scan": plain_forms.selective_scan}),
    "s4d": ("state_space", _FILTERS),
    "dss": ("state_space", _FILTERS),
}


def run() -> None:
    torch.set_num_threads(1)
    chosen = os.environ.get("LLM_ICL_MIXERS", "")
    # In a hybrid are two blocks of kinds that stand here by themselves.
    names = chosen.split(",") if chosen else [name for name in architectures() if name != "hybrid"]
    for name in names:
        now = [measured(name, length) for length in LENGTHS]
        rows = [_row(name, "now", now)]
        if name in PLAIN:
            before = [measured(name, length, plain=True) for length in LENGTHS if length <= _PLAIN]
            ratios = [b / n for (b, _), (n, _) in zip(before, now, strict=False)]
            rows += [_row(name, "before", before), [name, "before / now", *ratios]]
        show(rows, ["architecture", "form", *map(str, LENGTHS), "exponent", "MB"])


def _row(name: str, form: str, found: list[tuple[float, float]]) -> list[object]:
    """Times, the exponent of their growth over the last three doublings, and the memory at the greatest length."""
    times = [seconds for seconds, _ in found]
    blank = [None] * (len(LENGTHS) - len(times))
    return [name, form, *times, *blank, math.log2(times[-1] / times[-4]) / 3, round(found[-1][1])]


def measured(name: str, length: int, plain: bool = False) -> tuple[float, float]:
    """Processor seconds, and MB above those before, in a process of its own: the peak is that of one measurement."""
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        return pool.apply(_measure, (name, length, plain))


def _measure(name: str, length: int, plain: bool) -> tuple[float, float]:
    with ExitStack() as stack:
        if plain:
            module, forms = PLAIN[name]
            for function, form in forms.items():
                stack.enter_context(patch(f"local_models.mixers.{module}.{function}", form))
        torch.manual_seed(0)
        model = Backbone(Shape(name, inputs=11, width=64, layers=1, tokens=length))
        x = torch.randn(2, length, 11)
        gc.collect()
        start = _megabytes()

        def both() -> None:
            model(x).sum().backward()

        both()
        return best(both, 3, time.process_time), _megabytes() - start


def _megabytes() -> float:
    """The greatest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
