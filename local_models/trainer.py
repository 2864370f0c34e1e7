"""Trains a network on batches of problems; interrupted training resumes with identical results."""

import itertools
import math
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models import checkpoints
from local_models.backbone import Network
from local_models.metrics import Metrics
from local_models.optimisers import optimisers_for
from local_models.sequence import POINT, tokens_of
from local_models.threads import suited_to

CHECKPOINT = "checkpoint.safetensors"
# Networks of earlier steps.
KEPT = "checkpoints"
# The scores of a model on one task.
SCORES = ("loss", "accuracy", "last_half")
# Tokens of validation problems that one forward pass takes, for its memory.
_TOKENS_AT_ONCE = 2**15


class TrainingError(Exception):
    """Training failed; a one-line message."""


@dataclass(frozen=True)
class Batch:
    """Points xs (B, m, n), their shown labels (B, m), and the true ones (B, m); all 0 or 1."""

    xs: Tensor
    shown: Tensor
    truth: Tensor

    def to(self, device: torch.device) -> "Batch":
        return Batch(self.xs.to(device), self.shown.to(device), self.truth.to(device))


# The batch of a step; deterministic.
Batches = Callable[[int], Batch]
# Validation problems, by task.
HeldOut = Mapping[str, Batch]


@dataclass(frozen=True)
class Schedule:
    """The training schedule. The learning rate rises to `rate` over `warmup` steps, stays constant, and falls to 0 over
    the last fraction `decay` of the steps.
    """

    steps: int = 2000
    optimiser: str = "muon"
    rate: float = 8e-3
    warmup: int = 50
    decay: float = 0.5
    clip: float = 1.0
    seed: int = 0
    evaluate_every: int = 100
    stop_at: float = 1.0

    def learning_rate_factor(self, step: int) -> float:
        """The learning rate at a step as a fraction of its maximum."""
        rising = min(1.0, (step + 1) / self.warmup) if self.warmup else 1.0
        falling = (self.steps - step) / max(1.0, self.decay * self.steps)
        return min(rising, falling, 1.0)


@dataclass(frozen=True)
class StepProgress:
    """The progress of training: step, loss of its batch, last evaluation, steps per second since this start, and the
    step of the last checkpoint.
    """

    step: int
    loss: float
    evaluation: dict[str, Any]
    speed: float
    saved: int


def train(
    model: Network, schedule: Schedule, batches: Batches, held_out: HeldOut, folder: Path,
    on_step: Callable[[StepProgress], None], keep: Container[int] = (), lower: bool = False,
) -> None:  # fmt: skip
    """Train to the end of the schedule, resuming from the checkpoint in `folder` if there is one.

    The networks of the steps in `keep` are saved too; step 0 is the untrained one. Every `evaluate_every` steps the
    model is validated on the held-out problems, metrics are written, and a checkpoint is saved; between validations one
    is saved every two minutes. Training stops early if the accuracy over the last half of the points reaches `stop_at`.
    With `lower`, steps multiply in bfloat16 on a CPU too; validation does not. Raises TrainingError, with the step, the
    learning rate and the seed, if a number is not finite: nothing of that step is saved. Raises CheckpointError if the
    checkpoint does not belong to this model.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    path, done = folder / CHECKPOINT, 0
    evaluation: dict[str, Any] = {}
    model.to(device).train()
    optimisers = optimisers_for(model, schedule.optimiser, schedule.rate)
    rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    if path.is_file():
        about = checkpoints.restore(path, model, optimisers)
        done, evaluation = about["step"], about["evaluation"]
    saved = done
    if done == 0 and 0 in keep:
        _keep(folder, model, 0)
    held_out = {name: batch.to(device) for name, batch in held_out.items()}
    # On a GPU small models are limited by kernel launches, which compilation reduces.
    learner = cast(Network, torch.compile(model)) if device.type == "cuda" else model
    began = saved_at = time.monotonic()
    first = done
    with suited_to(model), Metrics(folder, done) as metrics:
        for step in range(done, schedule.steps):
            if evaluation.get("last_half", 0.0) >= schedule.stop_at:
                break
            factor = schedule.learning_rate_factor(step)
            set_learning_rates(optimisers, rates, factor)
            with all_finite(step + 1, schedule.steps, factor * schedule.rate, schedule.seed, saved):
                loss = one_step(learner, optimisers, batches(step).to(device), schedule.clip, lower)
                if step + 1 in keep:  # before the checkpoint from which training resumes
                    _keep(folder, model, step + 1)
                validated = (step + 1) % schedule.evaluate_every == 0 or step + 1 == schedule.steps
                if validated:
                    evaluation = evaluate(model, held_out)
                    seconds = time.monotonic() - began
                    metrics.write(step + 1, {"batch_loss": loss, "seconds": seconds, **evaluation})
                if validated or time.monotonic() - saved_at > checkpoints.LONGEST_UNSAVED:
                    checkpoints.save(path, model, optimisers, {"step": step + 1, "evaluation": evaluation}, model.shape)
                    saved, saved_at = step + 1, time.monotonic()
            speed = (step + 1 - first) / max(time.monotonic() - began, 1e-9)
            on_step(StepProgress(step + 1, loss, evaluation, speed, saved))


def kept_steps(steps: int) -> list[int]:
    """The steps of a training of so many that are kept: 0, and 1, 2 and 5 times the powers of ten."""
    series = (digit * 10**power for power in itertools.count() for digit in (1, 2, 5))
    return [0, *itertools.takewhile(lambda step: step <= steps, series)]


def kept_path(folder: Path, step: int) -> Path:
    """The file of the network of a step."""
    return folder / KEPT / f"step-{step}.safetensors"


def _keep(folder: Path, model: Network, step: int) -> None:
    path = kept_path(folder, step)
    path.parent.mkdir(exist_ok=True)
    checkpoints.save(path, model, (), {"step": step}, model.shape)


def has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 by instructions of its own (AVX512_BF16 or AMX); else it is slow."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, lambda: False)() for check in checks)


def logits(model: Network, batch: Batch, lower: bool = False) -> Tensor:
    """The logit of label 1 for each point, from the points and shown labels before it: (B, m). In bfloat16 on a GPU,
    with `lower` on a CPU too.
    """
    with torch.autocast(batch.xs.device.type, torch.bfloat16, enabled=batch.xs.is_cuda or lower):
        tokens = tokens_of(batch.xs, batch.shown, model.shape.inputs)  # (B, 2m, inputs)
        found = model(tokens, every=POINT)  # (B, m, outputs)
        return found[..., 0].float()


@torch.no_grad()
def evaluate(model: Network, held_out: HeldOut) -> dict[str, Any]:
    """Loss in nats, and accuracy over all points and over their last half: for each task, and averaged.

    Raises FloatingPointError if a loss is not finite.
    """
    model.eval()
    tasks = {name: _scores(model, batch) for name, batch in held_out.items()}
    model.train()
    for name, scores in tasks.items():
        if not math.isfinite(scores["loss"]):
            raise FloatingPointError(f"the validation loss on {name} is {scores['loss']}")
    mean = {key: sum(scores[key] for scores in tasks.values()) / len(tasks) for key in SCORES}
    return mean | {"tasks": tasks}


def _scores(model: Network, batch: Batch) -> dict[str, float]:
    size = max(1, _TOKENS_AT_ONCE // (2 * batch.xs.shape[1]))
    parts = [
        logits(model, Batch(batch.xs[i : i + size], batch.shown[i : i + size], batch.truth[i : i + size]))
        for i in range(0, len(batch.xs), size)
    ]
    found, truth = torch.cat(parts), batch.truth.float()
    right = ((found > 0) == (truth > 0.5)).float()
    loss = float(F.binary_cross_entropy_with_logits(found, truth))
    return dict(zip(SCORES, (loss, float(right.mean()), float(right[:, right.shape[1] // 2 :].mean())), strict=True))


def one_step(
    model: Network, optimisers: list[torch.optim.Optimizer], batch: Batch, clip: float, lower: bool = False
) -> float:
    """One optimisation step. Returns the loss before the update, in nats.

    Raises FloatingPointError, before the update, if the loss or its gradient is not finite.
    """
    loss = F.binary_cross_entropy_with_logits(logits(model, batch, lower), batch.truth.float())
    model.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_((p for p in model.parameters() if p.grad is not None), clip)
    found = finite_loss(loss, norm)
    for optimiser in optimisers:
        optimiser.step()
    return found


def finite_loss(loss: Tensor, norm: Tensor) -> float:
    """The loss, read from the device together with the norm of its gradient.

    Raises FloatingPointError if one of them is not finite.
    """
    found, length = torch.stack([loss.detach().double(), norm.double()]).tolist()
    for what, number in (("loss", found), ("norm of the gradient", length)):
        if not math.isfinite(number):
            raise FloatingPointError(f"the {what} is {number}")
    return float(found)


@contextmanager
def all_finite(step: int, steps: int, rate: float, seed: int, saved: int) -> Iterator[None]:
    """A FloatingPointError of a step becomes a TrainingError that says where it occurred and what is kept; `saved` is
    the step of the last checkpoint, 0 if there is none.
    """
    try:
        yield
    except FloatingPointError as problem:
        kept = f"the checkpoint of step {saved} is kept" if saved else "nothing was saved"
        raise TrainingError(
            f"{problem} at step {step} of {steps}, with learning rate {rate:.3g} and seed {seed}: try a smaller "
            f"learning rate ({kept})"
        ) from None


def set_learning_rates(optimisers: list[torch.optim.Optimizer], rates: list[list[float]], share: float) -> None:
    """Set the learning rate of each parameter group to a fraction of its maximum."""
    for optimiser, own in zip(optimisers, rates, strict=True):
        for group, rate in zip(optimiser.param_groups, own, strict=True):
            group["lr"] = rate * share
