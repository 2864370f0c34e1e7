"""Updates of the trained parameters that are as long as another one, so that they differ in their direction only."""

import math
from collections.abc import Sequence

import numpy as np
import torch

from llm_icl.experiments.finetuning.descent import Finetuned
from llm_icl.experiments.finetuning.projections import Layer


@torch.no_grad()
def lengths(layers: Sequence[Layer], finetuned: Finetuned) -> list[float]:
    """The length (Euclidean norm) of the change of each parameter tensor."""
    pairs = zip(finetuned.parameters, _parameters(layers), strict=True)
    return [float((new - old).double().norm()) for new, old in pairs]


@torch.no_grad()
def as_long_as(layers: Sequence[Layer], finetuned: Finetuned, wanted: Sequence[float]) -> Finetuned:
    """The same direction in each parameter tensor, with the wanted length. A tensor that did not change stays."""
    own = lengths(layers, finetuned)
    parts = zip(finetuned.parameters, _parameters(layers), own, wanted, strict=True)
    parameters = [old + (new - old) * (long / was if was else 0) for new, old, was, long in parts]
    return Finetuned(parameters, scale=math.hypot(*wanted) / (math.hypot(*own) or 1))


@torch.no_grad()
def random_update(layers: Sequence[Layer], wanted: Sequence[float], seed: Sequence[int]) -> Finetuned:
    """A uniformly random direction in each parameter tensor, with the wanted length; of keys and values only."""
    rng = np.random.default_rng(seed)
    parameters = []
    for (old, mask), long in zip((one for layer in layers for one in layer.trained), wanted, strict=True):
        direction = torch.from_numpy(rng.standard_normal(old.shape, dtype=np.float32)).to(old.device) * mask.to(
            old.device
        )
        parameters.append(old + direction * (long / float(direction.double().norm())))
    return Finetuned(parameters)


def _parameters(layers: Sequence[Layer]) -> list[torch.nn.Parameter]:
    return [parameter for layer in layers for parameter, _ in layer.trained]
