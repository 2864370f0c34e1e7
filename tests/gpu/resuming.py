"""Training that is interrupted and resumed on the card: bit for bit the weights of training in one go."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file

from llm_icl.experiments.training.experiment import Training
from llm_icl.experiments.training.options import TrainingOptions
from local_models.backbone import Backbone
from local_models.trainer import CHECKPOINT, StepProgress, train
from tests.gpu.card import Card, Row

_STEPS, _SAVED, _STOPPED = 20, 10, 13


class _StopError(Exception): ...


def rows(card: Card) -> Iterator[Row]:
    for architecture in ("transformer",) if card.toy else ("transformer", "gated-deltanet"):
        for optimiser in ("adamw", "muon"):
            with tempfile.TemporaryDirectory() as folder:
                whole, parts = Path(folder) / "whole", Path(folder) / "parts"
                began = time.perf_counter()
                _train(whole, architecture, optimiser)
                seconds = time.perf_counter() - began
                try:
                    _train(parts, architecture, optimiser, _stop)
                except _StopError:
                    _train(parts, architecture, optimiser)
                first, second = (load_file(one / CHECKPOINT) for one in (whole, parts))
            worst = max(float((first[name].double() - second[name].double()).abs().max()) for name in first)
            equal = first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
            row: Row = {"what": architecture, "form": optimiser, "holds": equal, "greatest difference": worst}
            yield row | {"seconds of the first": seconds}


def _train(folder: Path, architecture: str, optimiser: str, on_step=lambda _: None) -> None:  # type: ignore[no-untyped-def]
    folder.mkdir(exist_ok=True)
    request = Training.of(TrainingOptions(
        architecture=architecture, task=("conjunction",), n=5, points=10, layers=2, width=32, batch_size=16,
        steps=_STEPS, optimiser=optimiser, evaluate_every=_SAVED,
    )).request  # fmt: skip
    torch.manual_seed(0)
    model = Backbone(request.shape)
    train(model, request.schedule, request.batches, request.held_out(), folder, on_step)


def _stop(progress: StepProgress) -> None:
    if progress.step == _STOPPED:
        raise _StopError
