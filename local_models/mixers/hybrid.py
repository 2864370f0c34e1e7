"""Alternating Mamba-2 and attention."""

from local_models.architectures import Architecture, register
from local_models.mixers.attention import Attention
from local_models.mixers.mamba2 import Mamba2

register(
    Architecture(
        "hybrid", "alternating Mamba-2 and softmax attention, without positional embeddings", (Mamba2, Attention)
    )
)
