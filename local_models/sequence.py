"""How labelled points become tokens, and which tokens the predictions are read at."""

import torch
from torch import Tensor

# A model predicts a label where it has just seen the point, and not yet the label: at every second token.
POINT = 2


def tokens_of(xs: Tensor, ys: Tensor, inputs: int) -> Tensor:
    """x_1, y_1, x_2, y_2, … as tokens of so many numbers: a point in the first n, a label in the last, the rest 0.

    Bits become -1 and 1: (B, m, n) and (B, m) → (B, 2m, inputs).
    """
    points = torch.nn.functional.pad(2.0 * xs - 1, (0, inputs - xs.shape[-1]))  # (B, m, inputs)
    labels = torch.nn.functional.pad((2.0 * ys - 1).unsqueeze(-1), (inputs - 1, 0))  # (B, m, inputs)
    return torch.stack([points, labels], 2).flatten(1, 2)  # (B, 2m, inputs)
