"""The card, and its rates of matrix products, which shares of the other tables refer to."""

from collections.abc import Iterator

import torch

from tests.gpu.card import Card, Row


def rows(card: Card) -> Iterator[Row]:
    yield {"what": " ".join(f"{key} {value}" for key, value in card.about().items())}
    for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        yield {"what": "matrix product", "form": name, "TFLOP/s": card.product_rate(dtype) / 1e12}
