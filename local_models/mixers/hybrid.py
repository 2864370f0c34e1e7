"""Mamba-2 and attention in turn."""

from local_models.architectures import Architecture, register
from local_models.mixers.attention import Attention
from local_models.mixers.mamba2 import Mamba2

register(
    Architecture("hybrid", "Mamba-2 and softmax attention in turn, without a table of positions", (Mamba2, Attention))
)
