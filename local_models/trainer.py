"""Trains a backbone on batches of problems; killed anywhere, it goes on to the same numbers."""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models import checkpoints
from local_models.backbone import Backbone, Shape
from local_models.optimisers import optimisers_for
from local_models.sequence import at_points, tokens_of

CHECKPOINT = "checkpoint.safetensors"
METRICS = "metrics.jsonl"


class TrainingError(Exception):
    """Training cannot go on: one line."""


@dataclass(frozen=True)
class Batch:
    """Points xs [B, m, n], their labels as they are shown [B, m], and the true ones [B, m]; all 0 or 1."""

    xs: Tensor
    shown: Tensor
    truth: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.xs.to(device), self.shown.to(device), self.truth.to(device))


# The batch of a step: the same step has the same batch whenever it is asked for.
Batches = Callable[[int], Batch]


@dataclass(frozen=True)
class Plan:
    """How a model is trained. `rate` rises over `warmup` steps, stays, and falls to 0 over the last `decay` of them."""

    steps: int = 2000
    optimiser: str = "muon"
    rate: float = 8e-3
    warmup: int = 50
    decay: float = 0.5
    clip: float = 1.0
    seed: int = 0
    evaluate_every: int = 100
    stop_at: float = 1.0

    def rate_at(self, step: int) -> float:
        """The share of the rate at a step."""
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        falling = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(rising, falling, 1.0)


@dataclass(frozen=True)
class Progress:
    """Where training is: the step, the loss of its batch, the last evaluation, steps a second in this start."""

    step: int
    loss: float
    evaluation: dict[str, float]
    speed: float


def train(
    shape: Shape, plan: Plan, batches: Batches, held_out: Batch, folder: Path, report: Callable[[Progress], None]
) -> Backbone:
    """Train to the end of the plan, from the checkpoint in `folder` where there is one.

    Every `evaluate_every` steps the model is tried on the held-out problems, a line goes to metrics.jsonl, and a
    checkpoint is written. It ends early where the accuracy over the last half of the points reaches `stop_at`. Raises
    TrainingError, with the step and the seed, where the loss is no number.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cpu" and (os.cpu_count() or 1) <= 2:
        torch.set_num_threads(1)  # small matrices: a second thread waits more than it works
    torch.manual_seed(plan.seed)
    path = folder / CHECKPOINT
    model, done = Backbone(shape), 0
    evaluation: dict[str, float] = {}
    if path.is_file():
        model, about = checkpoints.load_model(path)
        done, evaluation = about["step"], about["evaluation"]
    model.to(device)
    optimisers = optimisers_for(model, plan.optimiser, plan.rate)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    if done:
        checkpoints.load_optimisers(path, optimisers)
    _keep_lines(folder / METRICS, done)
    held_out = held_out.to(device)
    began, first = time.monotonic(), done
    for step in range(done, plan.steps):
        if evaluation.get("last_half", 0.0) >= plan.stop_at:
            break
        _set_rates(optimisers, rates, plan.rate_at(step))
        loss = _one_step(model, optimisers, batches(step).to(device), plan.clip)
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {step} with seed {plan.seed}: try a smaller rate")
        if (step + 1) % plan.evaluate_every == 0 or step + 1 == plan.steps:
            evaluation = evaluate(model, held_out)
            line = {"step": step + 1, "batch_loss": loss, "seconds": time.monotonic() - began, **evaluation}
            with (folder / METRICS).open("a") as stream:
                stream.write(json.dumps(line) + "\n")
            checkpoints.save(path, model, optimisers, {"step": step + 1, "evaluation": evaluation})
        speed = (step + 1 - first) / max(time.monotonic() - began, 1e-9)
        report(Progress(step + 1, loss, evaluation, speed))
    return model


def logits(model: Backbone, batch: Batch) -> Tensor:
    """The logit of label 1 for each point, from the points and shown labels before it: [B, m]."""
    with torch.autocast(batch.xs.device.type, torch.bfloat16, enabled=batch.xs.is_cuda):
        return at_points(model(tokens_of(batch.xs, batch.shown))).float()


@torch.no_grad()
def evaluate(model: Backbone, batch: Batch, size: int = 256) -> dict[str, float]:
    """Loss in nats, and accuracy over all points and over their last half."""
    model.eval()
    parts = [
        logits(model, Batch(batch.xs[i : i + size], batch.shown[i : i + size], batch.truth[i : i + size]))
        for i in range(0, len(batch.xs), size)
    ]
    model.train()
    found, truth = torch.cat(parts), batch.truth.float()
    right = ((found > 0) == (truth > 0.5)).float()
    return {
        "loss": float(F.binary_cross_entropy_with_logits(found, truth)),
        "accuracy": float(right.mean()),
        "last_half": float(right[:, right.shape[1] // 2 :].mean()),
    }


def _one_step(model: Backbone, optimisers: list[torch.optim.Optimizer], batch: Batch, clip: float) -> float:
    loss = F.binary_cross_entropy_with_logits(logits(model, batch), batch.truth.float())
    model.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    for optimiser in optimisers:
        optimiser.step()
    return float(loss.detach())


def _set_rates(optimisers: list[torch.optim.Optimizer], rates: list[list[float]], share: float) -> None:
    for optimiser, own in zip(optimisers, rates, strict=True):
        for group, rate in zip(optimiser.param_groups, own, strict=True):
            group["lr"] = rate * share


def _keep_lines(path: Path, done: int) -> None:
    """Forget what was measured after the checkpoint: it is measured again."""
    lines: list[dict[str, Any]] = []
    if path.is_file():
        for text in path.read_text().splitlines():
            try:
                lines.append(json.loads(text))
            except ValueError:  # the last line was not written whole
                break
    path.write_text("".join(json.dumps(line) + "\n" for line in lines if line["step"] <= done))
