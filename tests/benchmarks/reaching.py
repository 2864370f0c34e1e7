"""Processor time until a transformer (3 layers, width 64, batch 64, 40 points, n = 10) answers 97 % of the last 20
queries of conjunctions: as llm-icl trains it, and Hugging Face's GPT-2 blocks of the same size with problems drawn one
by one in Python and the published settings (Adam, rate 1e-4). The bar is 20. The second is stopped where it has taken
so many times longer. One thread; the trials on held-out problems are not counted.
"""

import time

import torch

from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.backbone import Backbone
from local_models.optimisers import optimisers_for
from local_models.trainer import logits, one_step, set_learning_rates
from tests.benchmarks.timing import show
from tests.benchmarks.training import BATCH, POINTS, N, plain

GOAL, PATIENCE = 0.97, 21
_LAYERS, _WIDTH, _STEPS, _TRY_EVERY = 3, 64, 1600, 50


def run() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    request = Training.of(
        TrainingOptions(
            task=("conjunction",), n=N, points=POINTS, batch_size=BATCH, layers=_LAYERS, width=_WIDTH, steps=_STEPS
        )
    ).request
    held_out = request.held_out()["conjunction"]
    model = Backbone(request.shape)
    optimisers = optimisers_for(model, "muon", request.schedule.rate)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]

    def ours(step: int) -> None:
        set_learning_rates(optimisers, rates, request.schedule.learning_rate_factor(step))
        one_step(model, optimisers, request.batches(step), request.schedule.clip)

    first = _until(ours, lambda batch: logits(model, batch), held_out, float("inf"))
    baseline, learn, draw = plain(_LAYERS, _WIDTH)
    second = _until(lambda _: learn(draw()), baseline, held_out, PATIENCE * first[0])
    rows = [["llm-icl, Muon", *first, ""], ["GPT-2 blocks, Adam 1e-4", *second, second[0] / first[0]]]
    show(rows, ["way", "processor seconds", "steps", "last 20 points", "ratio (at least)"])


def _until(step, forward, held_out, limit):
    """Processor time, steps and accuracy where the goal is reached, or where the limit is."""
    spent, steps, reached = 0.0, 0, 0.0
    while reached < GOAL and spent < limit:
        began = time.process_time()
        for _ in range(_TRY_EVERY):
            step(steps)
            steps += 1
        spent += time.process_time() - began
        with torch.no_grad():
            right = (forward(held_out) > 0) == (held_out.truth > 0)
        reached = float(right[:, POINTS // 2 :].float().mean())
    return spent, steps, reached
