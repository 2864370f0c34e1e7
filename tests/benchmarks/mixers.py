"""Cost of each architecture against the length of a sequence: forward and backward passes of one block, width 64, two
sequences, one thread; seconds, and the exponent of the growth over the last doubling.
"""

import math

import torch

from local_models.architectures import architectures
from local_models.backbone import Backbone, Shape
from tests.benchmarks.timing import best, show

LENGTHS = (128, 256, 512, 1024, 2048)


def run() -> None:
    torch.set_num_threads(1)
    rows = []
    for name in architectures():
        if name == "hybrid":  # two blocks of kinds that stand here by themselves
            continue
        model = Backbone(Shape(name, inputs=11, width=64, layers=1, tokens=max(LENGTHS)))
        times = []
        for length in LENGTHS:
            x = torch.randn(2, length, 11)

            def both(model=model, x=x) -> None:
                model(x).sum().backward()

            both()
            times.append(best(both, 2))
        rows.append([name, *times, math.log2(times[-1] / times[-2])])
    show(rows, ["architecture", *map(str, LENGTHS), "exponent"])
