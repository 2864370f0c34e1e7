"""Encodes labelled points as tokens, and selects the tokens of predictions."""

import torch
from torch import Tensor

# Labels are predicted at the tokens of their points: every second token.
POINT = 2


def tokens_of(xs: Tensor, ys: Tensor, inputs: int) -> Tensor:
    """x_1, y_1, x_2, y_2, … as tokens of `inputs` numbers: a point in the first n, a label in the last, the rest 0.

    Bits are encoded as -1 and 1: (B, m, n) and (B, m) → (B, 2m, inputs).
    """
    points = torch.nn.functional.pad(2.0 * xs - 1, (0, inputs - xs.shape[-1]))  # (B, m, inputs)
    labels = torch.nn.functional.pad((2.0 * ys - 1).unsqueeze(-1), (inputs - 1, 0))  # (B, m, inputs)
    return torch.stack([points, labels], 2).flatten(1, 2)  # (B, 2m, inputs)
