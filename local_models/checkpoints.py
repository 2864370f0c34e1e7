"""A training run on disk: one safetensors file with model, optimisers and step, written whole or not at all."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from local_models.backbone import Backbone, Shape

_MODEL, _OPTIMISER = "model.", "optimiser."


class CheckpointError(Exception):
    """A file that is no checkpoint, or not one of this model: one line."""


def save(path: Path, model: Backbone, optimisers: Sequence[torch.optim.Optimizer], about: dict[str, Any]) -> None:
    """Write everything that training needs to go on, and `about` as JSON."""
    tensors = {_MODEL + name: value for name, value in model.state_dict().items()}
    for i, optimiser in enumerate(optimisers):
        for j, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{_OPTIMISER}{i}.{j}.{key}": torch.as_tensor(value) for key, value in state.items()}
    temporary = path.with_suffix(".partial")
    metadata = {"shape": json.dumps(model.shape.record()), "about": json.dumps(about)}
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, temporary, metadata)
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)


def load_model(path: Path) -> tuple[Backbone, dict[str, Any]]:
    """The model of a checkpoint, and what was said about it. Raises CheckpointError."""
    tensors, metadata = _read(path)
    try:
        model = Backbone(Shape(**json.loads(metadata["shape"])))
        model.load_state_dict({k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)})
        about: dict[str, Any] = json.loads(metadata["about"])
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise CheckpointError(f"{path} is no checkpoint of a model: {str(problem).splitlines()[0]}") from None
    return model, about


def load_optimisers(path: Path, optimisers: Sequence[torch.optim.Optimizer]) -> None:
    """Put optimisers where they were. Raises CheckpointError."""
    tensors, _ = _read(path)
    for i, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(f"{_OPTIMISER}{i}."):
                j, key = name.removeprefix(f"{_OPTIMISER}{i}.").split(".", 1)
                state.setdefault(int(j), {})[key] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, "pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as problem:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {problem}") from None
