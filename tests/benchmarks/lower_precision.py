"""Training in bfloat16 on a CPU against float32 (transformer, 2 layers, width 64, batch 64, 20 points, n = 5): five
seeds, paired, on the same problems; accuracy on the last half of the points after 400 steps, and processor seconds.
"""

import time

import torch

from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.backbone import Backbone
from local_models.optimisers import optimisers_for
from local_models.trainer import evaluate, has_bfloat16, one_step, set_learning_rates
from tests.benchmarks.timing import show

_SEEDS, _STEPS = 5, 400


def run() -> None:
    if not has_bfloat16():
        print("this processor has no instructions for bfloat16")
        return
    torch.set_num_threads(1)
    rows: list[list[object]] = []
    for seed in range(_SEEDS):
        (exact, slow), (lower, fast) = _trained(seed, False), _trained(seed, True)
        rows.append([seed, 100 * exact, 100 * lower, 100 * (lower - exact), slow, fast, slow / fast])
    show(rows, ["seed", "float32", "bfloat16", "difference", "s", "s in bfloat16", "ratio"])
    differences = torch.tensor([float(row[3]) for row in rows])  # type: ignore[arg-type]
    error = float(differences.std()) / _SEEDS**0.5
    print(f"mean difference {float(differences.mean()):+.2f} points, standard error {error:.2f}")


def _trained(seed: int, lower: bool) -> tuple[float, float]:
    """Accuracy on the last half of the points, and processor seconds."""
    options = TrainingOptions(task=("conjunction",), n=5, points=20, layers=2, steps=_STEPS, seed=seed)
    request = Training.of(options).request
    torch.manual_seed(seed)
    model = Backbone(request.shape)
    optimisers = optimisers_for(model, request.schedule.optimiser, request.schedule.rate)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    began = time.process_time()
    for step in range(_STEPS):
        set_learning_rates(optimisers, rates, request.schedule.learning_rate_factor(step))
        one_step(model, optimisers, request.batches(step), request.schedule.clip, lower)
    return evaluate(model, request.held_out())["last_half"], time.process_time() - began
