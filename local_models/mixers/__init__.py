"""The architectures: one short file for each kind of sequence mixer."""

from collections.abc import Callable

from local_models.mixers.attention import Attention
from local_models.mixers.base import Mixer
from local_models.mixers.deltanet import DeltaNet
from local_models.mixers.hyena import Hyena
from local_models.mixers.linear_attention import LinearAttention
from local_models.mixers.mamba import Mamba
from local_models.mixers.mamba2 import Mamba2
from local_models.mixers.momentum import MomentumAttention, MomentumFilter
from local_models.mixers.recurrent import GRU, LSTM
from local_models.mixers.retnet import Retention
from local_models.mixers.state_space import DSS, S4D

MIXERS: dict[str, Callable[..., Mixer]] = {
    "attention": Attention,
    "momentum": MomentumAttention,
    "momentum-learned": MomentumFilter,
    "linear-attention": LinearAttention,
    "lstm": LSTM,
    "gru": GRU,
    "dss": DSS,
    "s4d": S4D,
    "hyena": Hyena,
    "retnet": Retention,
    "mamba": Mamba,
    "mamba2": Mamba2,
    "deltanet": DeltaNet,
}

__all__ = ["MIXERS", "Mixer"]
