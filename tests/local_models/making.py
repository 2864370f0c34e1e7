"""Mixers with weights of an ordinary size, so that a wrong term is a large difference and not one of 1e-4."""

import torch
from torch import nn

from local_models.mixers.attention import Attention
from local_models.mixers.deltanet import DeltaNet
from local_models.mixers.hyena import Hyena
from local_models.mixers.linear_attention import LinearAttention
from local_models.mixers.mamba import Mamba
from local_models.mixers.mamba2 import Mamba2
from local_models.mixers.momentum import MomentumAttention, MomentumFilter
from local_models.mixers.recurrent import GRU, LSTM
from local_models.mixers.retnet import Retention
from local_models.mixers.state_space import DSS, S4D

# 24 channels divide into 1, 2, 3 and 4 heads of an even width; 37 tokens are an odd number of them.
WIDTH, LAYERS, TOKENS, BATCH = 24, 3, 37, 3

MIXERS = {
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
# Every mixer, and every option that changes what it computes.
CASES = {
    "attention": ("attention", {"heads": 3}),
    "attention, one head": ("attention", {"heads": 1}),
    "attention, rotary": ("attention", {"heads": 3, "positions": "rope"}),
    "attention, lowered by distance": ("attention", {"heads": 4, "positions": "alibi"}),
    "momentum": ("momentum", {"heads": 4}),
    "momentum, lowered by distance": ("momentum", {"heads": 3, "eta": 0.7, "positions": "alibi"}),
    "momentum filter, rotary": ("momentum-learned", {"heads": 4, "positions": "rope"}),
    "momentum, normalised": ("momentum", {"heads": 3, "eta": 0.9, "normalised": True}),
    "momentum, per head": ("momentum", {"heads": 2, "eta": 0.7, "per_head": True}),
    "momentum, learned": ("momentum", {"heads": 3, "eta": 0.8, "learned": True}),
    "momentum, learned per head": ("momentum", {"heads": 4, "learned": True, "per_head": True}),
    "momentum, learned, normalised": (
        "momentum",
        {"heads": 3, "learned": True, "per_head": True, "normalised": True},
    ),
    "momentum filter": ("momentum-learned", {"heads": 4}),
    "momentum filter, one head": ("momentum-learned", {"heads": 1}),
    "linear attention": ("linear-attention", {"heads": 3}),
    "linear attention, one head": ("linear-attention", {"heads": 1}),
    "lstm": ("lstm", {}),
    "gru": ("gru", {}),
    "dss": ("dss", {"states": 8}),
    "dss, softmax": ("dss", {"states": 8, "softmax": True}),
    "s4d": ("s4d", {"states": 12}),
    "hyena": ("hyena", {"longest": 50}),
    "hyena, order 3": ("hyena", {"order": 3, "longest": 50, "bands": 4, "inner": 3, "filter_width": 16}),
    "retnet": ("retnet", {"heads": 4}),
    "retnet, one head": ("retnet", {"heads": 1}),
    "retnet, reduced": ("retnet", {"heads": 3, "published": False}),
    "mamba": ("mamba", {"states": 5}),
    "mamba, narrow": ("mamba", {"states": 3, "expand": 1}),
    "mamba2": ("mamba2", {"states": 10, "head_width": 16}),
    "mamba2, one head": ("mamba2", {"states": 6, "head_width": 48}),
    "deltanet": ("deltanet", {"heads": 3, "gated": False}),
    "deltanet, gated": ("deltanet", {"heads": 4}),
    "deltanet, negative": ("deltanet", {"heads": 2, "gated": False, "negative": True}),
    "deltanet, gated, negative": ("deltanet", {"heads": 1, "negative": True}),
}
RECURRENT = [case for case, (name, options) in CASES.items() if name != "hyena" and not options.get("softmax")]


def made(case, **more):
    """The mixer of a case, in float64."""
    name, options = CASES[case]
    return mixer(name, **{**options, **more})


def mixer(name, seed=0, **options):
    """Any mixer with weights of an ordinary size, in float64."""
    torch.manual_seed(seed)
    return ordinary(MIXERS[name](WIDTH, LAYERS, **options)).double()


def ordinary(module):
    """Linear maps keep the size of what they are given; to everything else something is added. All is still exactly a
    float32.
    """
    with torch.no_grad():
        matrices = {id(layer.weight): layer for layer in module.modules() if isinstance(layer, nn.Linear)}
        for parameter in module.parameters():
            if id(parameter) in matrices:
                parameter.normal_(std=matrices[id(parameter)].in_features ** -0.5)
            else:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return module


def sequences(tokens=TOKENS, width=WIDTH, seed=1):
    """Inputs (B, T, D), exactly float32 too."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, tokens, width, generator=generator).double()


def gradients(output, inputs, seed=2):
    """The gradients of a random weighted sum of the output; an input that does not matter is an error."""
    generator = torch.Generator().manual_seed(seed)
    probe = torch.randn(output.shape, generator=generator).to(output)
    return torch.autograd.grad((output * probe).sum(), inputs)


def assert_close(actual, expected, tolerance=1e-11):
    """Equal up to a part of the greatest number, or of 1."""
    assert actual.shape == expected.shape
    assert actual.dtype == expected.dtype
    difference = (actual - expected).abs().max().item()
    assert difference <= tolerance * max(1.0, expected.abs().max().item())


def assert_is_its_recurrent_form(mixer, x):
    """All tokens at once equal one after the other to 1e-10, in value and in the gradient of every input."""
    inputs = (x.requires_grad_(), *mixer.parameters())
    at_once, recurrent = mixer(x), mixer.unroll(x)
    assert_close(at_once, recurrent, 1e-10)
    for actual, expected in zip(gradients(at_once, inputs), gradients(recurrent, inputs), strict=True):
        assert_close(actual, expected, 1e-10)
