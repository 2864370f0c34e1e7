"""How many threads a network's operations use."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

# Networks with fewer parameters multiply small matrices.
_SMALL = 5_000_000


@contextmanager
def suited_to(model: nn.Module) -> Iterator[None]:
    """On a CPU, one thread for small matrices: more are hardly faster, and many times slower where another process has
    a core, because all wait for the slowest at every operation. It is a setting of the process: not for blocks that
    overlap in several threads.
    """
    before = torch.get_num_threads()
    if sum(parameter.numel() for parameter in model.parameters()) < _SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
