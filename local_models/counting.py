"""Counts the FLOPs of a network."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from local_models.backbone import Network


def flops_per_sequence(model: Network, tokens: int) -> int:
    """Floating-point operations of a forward and a backward pass over one sequence.

    Counts matrix products, convolutions, Fourier transforms, and elementwise products and sums (most of the work of a
    scan); excludes the optimiser.
    """
    device = next(model.parameters()).device
    inputs = torch.zeros(1, tokens, model.shape.inputs, device=device)
    model.zero_grad(set_to_none=True)  # adding to gradients that are there already would count
    with FlopCounterMode(display=False, custom_mapping=_COUNTS) as counter, _plain_kernels():
        model(inputs).sum().backward()
    model.zero_grad(set_to_none=True)
    return counter.get_total_flops()


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Replace fused kernels by countable operations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # leaving oneDNN's scope sets an option that only Intel's GPUs have
        with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
            yield


def _one_each(*_: Any, out_val: Tensor | None = None, **__: Any) -> int:
    return out_val.numel() if out_val is not None else 0


def _transform(*_: Any, out_val: Tensor, **__: Any) -> int:
    return int(2.5 * out_val.numel() * math.log2(max(out_val.shape[1], 2)))


def _convolution_backward(change: Tensor, _: Tensor, weight: Tensor, *__: Any, **___: Any) -> int:
    return 4 * change.numel() * weight[0].numel()  # twice the forward pass; torch's own count ignores groups


def _raw(count: Callable[..., int]) -> Callable[..., int]:
    """Make the counter pass tensors instead of their shapes."""
    count._get_raw = True  # type: ignore[attr-defined]
    return count


_ELEMENTWISE = ("mul", "mul_", "add", "add_", "addcmul", "addcmul_")
_COUNTS: dict[Any, Any] = {
    **dict.fromkeys((getattr(torch.ops.aten, name) for name in _ELEMENTWISE), _raw(_one_each)),
    **dict.fromkeys((torch.ops.aten._fft_r2c, torch.ops.aten._fft_c2r), _raw(_transform)),
    torch.ops.aten.convolution_backward: _raw(_convolution_backward),
}
