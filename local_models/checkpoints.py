"""Checkpoints: one safetensors file with model, optimisers and step, written atomically."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from local_models.backbone import Shape

# Seconds of training after which a checkpoint is saved, validated or not.
LONGEST_UNSAVED = 120.0
_MODEL, _OPTIMISER = "model.", "optimiser."
_WHOLE = "checkpoint"


class CheckpointError(Exception):
    """An invalid checkpoint, or one of a different model; a one-line message."""


def save(
    path: Path, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer], about: dict[str, Any],
    shape: Shape | None = None,
) -> None:  # fmt: skip
    """Write everything needed to resume training, `about` as JSON, and a network's shape. Frozen weights are not
    written, but identified by their checksum.

    Raises FloatingPointError, with the earlier file left as it is, if a number is not finite.
    """
    check_finite(model, optimisers)
    tensors = {_MODEL + name: value for name, value in _own(model).items()}
    for i, optimiser in enumerate(optimisers):
        for j, state in optimiser.state_dict()["state"].items():
            tensors |= {f"{_OPTIMISER}{i}.{j}.{key}": torch.as_tensor(value) for key, value in state.items()}
    temporary = path.with_suffix(".partial")
    whole: dict[str, Any] = {"frozen": frozen_checksum(model), "about": about}
    if shape is not None:
        whole["shape"] = shape.record()
    # One entry: safetensors writes several in an arbitrary order, and equal networks must have equal files.
    metadata = {_WHOLE: json.dumps(whole)}
    save_file({name: value.detach().contiguous() for name, value in tensors.items()}, temporary, metadata)
    temporary.chmod(path.parent.stat().st_mode & 0o666)  # safetensors restricts it to the owner
    with temporary.open("rb") as stream:
        os.fsync(stream.fileno())
    temporary.replace(path)


def shape_of(path: Path) -> Shape:
    """The shape of the network in a checkpoint. Raises CheckpointError."""
    _, metadata = _read(path)
    try:
        return Shape(**metadata["shape"])
    except (KeyError, TypeError, ValueError) as problem:
        raise CheckpointError(f"{path} is not a checkpoint of a network: {problem}") from None


def restore(path: Path, model: nn.Module, optimisers: Sequence[torch.optim.Optimizer] = ()) -> dict[str, Any]:
    """Restore a network, and optionally its optimisers, from a checkpoint. Returns its `about`.

    Raises CheckpointError if the checkpoint does not belong to this network, or holds numbers that are not finite.
    """
    tensors, metadata = _read(path)
    frozen = metadata.get("frozen", "")
    if frozen != frozen_checksum(model):
        raise CheckpointError(f"{path} was made with different frozen (pretrained) weights")
    try:
        own = {k.removeprefix(_MODEL): v for k, v in tensors.items() if k.startswith(_MODEL)}
        if missing := sorted(set(_own(model)) ^ set(own)):
            raise ValueError(f"'{missing[0]}' is missing or unexpected")
        model.load_state_dict(own, strict=False)
        about: dict[str, Any] = metadata["about"]
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise CheckpointError(f"{path} is not a checkpoint of this network: {str(problem).splitlines()[0]}") from None
    for i, optimiser in enumerate(optimisers):
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith(f"{_OPTIMISER}{i}."):
                j, key = name.removeprefix(f"{_OPTIMISER}{i}.").split(".", 1)
                state.setdefault(int(j), {})[key] = value
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
    try:
        check_finite(model, optimisers)
    except FloatingPointError as problem:
        raise CheckpointError(f"{path} is of a training that diverged ({problem}): train again") from None
    return about


def check_finite(model: nn.Module, optimisers: Sequence[torch.optim.Optimizer] = ()) -> None:
    """Raise FloatingPointError for trained weights, or an optimiser's state, that are not finite."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad and not parameter.isfinite().all():
            raise FloatingPointError(f"the weights '{name}' are not finite")
    for optimiser in optimisers:
        for state in optimiser.state.values():
            for key, value in state.items():
                if not torch.as_tensor(value).isfinite().all():
                    raise FloatingPointError(f"{type(optimiser).__name__}'s state '{key}' is not finite")


def frozen_checksum(model: nn.Module) -> str:
    """The SHA-256 of all frozen weights; empty if there are none."""
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    if not frozen:
        return ""
    digest = hashlib.sha256()
    for parameter in frozen:
        digest.update(parameter.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def _own(model: nn.Module) -> dict[str, Tensor]:
    """All tensors of a model except frozen ones; shared tensors appear once."""
    parameters = dict(model.named_parameters())
    frozen = {name for name, parameter in parameters.items() if not parameter.requires_grad}
    again = dict(model.named_parameters(remove_duplicate=False)).keys() - parameters.keys()
    return {name: value for name, value in model.state_dict().items() if name not in frozen | again}


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
        if _WHOLE in metadata:
            return tensors, json.loads(metadata[_WHOLE])
        # Checkpoints of earlier versions have an entry for each part.
        return tensors, {key: value if key == "frozen" else json.loads(value) for key, value in metadata.items()}
    except (SafetensorError, OSError, ValueError) as problem:
        raise CheckpointError(f"{path} cannot be read as a checkpoint: {problem}") from None
