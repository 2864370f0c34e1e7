"""What the training of a suite's networks costs, before it starts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from llm_icl.networks.shapes import build
from llm_icl.reports.values import written
from llm_icl.suites.trainings import TrainingCell
from local_models.backbone import Shape, parameter_count
from local_models.counting import flops_per_sequence

# Guesses, which are said beside what follows from them: what a GPU does in small matrix products, how long the kernels
# of a step take to launch, and what it costs.
_FLOPS_PER_SECOND, _SECONDS_PER_STEP, _DOLLARS_PER_HOUR = 20e12, 0.02, 2.0
# Weight, gradient, and both moments of Adam, in float32.
_BYTES_PER_PARAMETER = 16


@dataclass(frozen=True)
class Cost:
    """Of one network: FLOPs of all steps, without the optimiser's; bytes of weights, their optimiser and the
    activations of a batch.
    """

    parameters: int
    flops: float
    memory: float


def costs_of(cells: Sequence[TrainingCell]) -> list[Cost]:
    """One for each network; networks of one shape are measured once."""
    sizes = [str((cell.request.shape, cell.request.points)) for cell in cells]
    measured = {
        size: _of_sequence(cell.request.shape, cell.request.points)
        for size, cell in dict(zip(sizes, cells, strict=True)).items()
    }
    found = []
    for size, cell in zip(sizes, cells, strict=True):
        parameters, frozen, flops, kept = measured[size]
        problems = cell.request.batch * cell.request.schedule.steps
        memory = _BYTES_PER_PARAMETER * parameters + frozen + kept * cell.request.batch
        found.append(Cost(parameters, float(flops) * problems, memory))
    return found


def described(cells: Sequence[TrainingCell]) -> Iterator[str]:
    """A line for each network, and one for all: with a curriculum they are upper bounds."""
    costs = costs_of(cells)
    for cell, cost in zip(cells, costs, strict=True):
        steps, batch = cell.request.schedule.steps, cell.request.batch
        yield (
            f"{cell.name}: {steps:,} steps of {batch} problems, {cost.parameters:,} parameters, "
            f"{written(cost.flops, 'power')} FLOPs, {cost.memory / 1e9:.2g} GB"
        )
    flops = sum(cost.flops for cost in costs)
    steps = sum(cell.request.schedule.steps for cell in cells)
    hours = (flops / _FLOPS_PER_SECOND + steps * _SECONDS_PER_STEP) / 3600
    yield (
        f"in all: {steps:,} steps, {written(flops, 'power')} FLOPs, at most "
        f"{max(cost.memory for cost in costs) / 1e9:.2g} GB at a time; with {_FLOPS_PER_SECOND / 1e12:.0f} TFLOP/s and "
        f"{1000 * _SECONDS_PER_STEP:.0f} ms to launch a step (guesses for one GPU: `make gpu` measures yours) "
        f"{hours:.2g} hours, ${hours * _DOLLARS_PER_HOUR:.2g} at ${_DOLLARS_PER_HOUR:g} an hour"
    )


def _of_sequence(shape: Shape, points: int) -> tuple[int, int, int, int]:
    """Trained parameters, bytes of frozen ones, FLOPs of both passes over one sequence, and bytes that
    the backward pass keeps.
    """
    model = build(shape, 0)
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = model(torch.zeros(1, 2 * points, shape.inputs))
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    del outputs
    kept = sum(size for place, size in saved.items() if place not in own)
    frozen = sum(each.nbytes for each in model.parameters() if not each.requires_grad)
    return parameter_count(model), frozen, flops_per_sequence(model, 2 * points), kept
