"""Trains a small language model on one long text; interrupted training resumes with identical results."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from local_models import checkpoints
from local_models.metrics import Metrics
from local_models.trainer import CHECKPOINT, all_finite, finite_loss, set_learning_rates

# Tokens per forward pass in evaluation.
_AT_ONCE = 8192
# Tokens of the held-out text used for validation during training.
_VALIDATION = 16_384


@dataclass(frozen=True)
class LanguageSchedule:
    """The training schedule: Adam, clipping and decay as in Dai et al. 2023 (App. C). The learning
    rate rises to `rate` over `warmup` steps and then falls to 0; a step has `batch` sequences of `length` predicted
    tokens.
    """

    steps: int
    batch: int
    length: int
    rate: float
    warmup: int
    seed: int
    evaluate_every: int
    clip: float = 2.0

    def learning_rate_factor(self, step: int) -> float:
        """The learning rate at a step as a fraction of its maximum."""
        rising = (step + 1) / (self.warmup + 1)
        return min(1.0, rising, (self.steps - step) / max(1, self.steps - self.warmup))


# Called with the step, its loss in nats per token, the loss on held-out text, and steps per second since this start.
OnStep = Callable[[int, float, float | None, float], None]


def train(
    model: Any, schedule: LanguageSchedule, text: Tensor, held_out: Tensor, folder: Path, on_step: OnStep
) -> None:
    """Train a transformers model to the end of the schedule, resuming from the checkpoint in `folder` if there is one.

    Texts are token ids (T,). Raises TrainingError if a number is not finite: nothing of that step is saved. Raises
    CheckpointError if the checkpoint does not belong to this model.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).train()
    optimiser = torch.optim.Adam(model.parameters(), lr=schedule.rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
    path, done = folder / CHECKPOINT, 0
    held_out_loss: float | None = None
    if path.is_file():
        about = checkpoints.restore(path, model, [optimiser])
        done, held_out_loss = about["step"], about["held_out_loss"]
    saved = done
    began = saved_at = time.monotonic()
    first = done
    with Metrics(folder, done) as metrics:
        for step in range(done, schedule.steps):
            factor = schedule.learning_rate_factor(step)
            set_learning_rates([optimiser], [[schedule.rate]], factor)
            with all_finite(step + 1, schedule.steps, factor * schedule.rate, schedule.seed, saved):
                found = _one_step(model, optimiser, batch_of(text, schedule, step).to(device), schedule.clip)
                validated = (step + 1) % schedule.evaluate_every == 0 or step + 1 == schedule.steps
                if validated:
                    held_out_loss = _held_out_loss(model, held_out, schedule.length)
                    speed = (step + 1 - first) / (time.monotonic() - began)
                    measured = {"batch_loss": found, "held_out_loss": held_out_loss, "steps_per_second": speed}
                    metrics.write(step + 1, measured)
                if validated or time.monotonic() - saved_at > checkpoints.LONGEST_UNSAVED:
                    checkpoints.save(path, model, [optimiser], {"step": step + 1, "held_out_loss": held_out_loss})
                    saved, saved_at = step + 1, time.monotonic()
            on_step(step + 1, found, held_out_loss, (step + 1 - first) / max(time.monotonic() - began, 1e-9))


def _one_step(model: Any, optimiser: torch.optim.Optimizer, ids: Tensor, clip: float) -> float:
    """One optimisation step on sequences (B, T + 1). Returns the loss before the update, in nats per token.

    Raises FloatingPointError, before the update, if the loss or its gradient is not finite.
    """
    with torch.autocast(ids.device.type, torch.bfloat16, enabled=ids.is_cuda):
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits  # (B, T, vocabulary)
    loss = F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten())
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    found = finite_loss(loss, norm)
    optimiser.step()
    return found


def _held_out_loss(model: Any, held_out: Tensor, length: int) -> float:
    """The loss on the first held-out tokens, in nats per token. Raises FloatingPointError if it is not finite."""
    windows = losses(model, held_out[: max(_VALIDATION, length) + 1], length, length)
    model.train()
    found = float(windows.sum()) / (len(windows) * length)
    if not math.isfinite(found):
        raise FloatingPointError(f"the held-out loss is {found}")
    return found


def batch_of(text: Tensor, schedule: LanguageSchedule, step: int) -> Tensor:
    """Random pieces of the text, (batch, length + 1), with arbitrary starts; deterministic for each step."""
    starts = np.random.default_rng([schedule.seed, step]).integers(
        len(text) - schedule.length, size=(schedule.batch, 1)
    )
    return text[torch.from_numpy(starts) + torch.arange(schedule.length + 1)]


@torch.no_grad()
def losses(model: Any, text: Tensor, length: int, window: int) -> Tensor:
    """The summed loss of each window of predicted tokens, in nats, (windows,), float64.

    The text is read in pieces of `length` tokens, each of which predicts the token after it: a token is predicted from
    1 to `length` tokens before it, and the tokens that are predicted are the same for every length that divides
    `window`.
    """
    model.eval()
    device = next(model.parameters()).device
    count = (len(text) - 1) // window
    pieces = text[: count * window + 1].unfold(0, length + 1, length)  # (pieces, length + 1)
    found = []
    for some in pieces.split(max(1, _AT_ONCE // length)):
        ids = some.to(device)
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits.float()  # (B, T, vocabulary)
        found.append(F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none").double().cpu())
    return torch.cat(found).reshape(count, window).sum(1)
