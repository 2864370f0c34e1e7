"""A pretrained causal language model with new read-in and read-out networks (after Lu et al. 2022).

Tokens are vectors of bits instead of words: the model's token embeddings and LM head are not used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from local_models.backbone import Network, Shape
from local_models.mixers.base import linear

# The parameters of the language model that are trained besides the new networks.
TRAINABLE = ("nothing", "norms", "all")
# Width of the new networks' two hidden layers, as in Bhattamishra et al. 2024.
_HIDDEN = 256


class Pretrained(Network):
    """A language model with new read-in and read-out networks, for vectors of bits instead of words.

    trainable: the trained parameters of the language model, `nothing`, `norms` or `all`. `body` is a transformers model
    without its head: it maps `inputs_embeds` to `last_hidden_state`.
    """

    def __init__(self, shape: Shape, body: nn.Module) -> None:
        super().__init__(shape)
        words = body.get_input_embeddings()  # type: ignore[operator]
        scale = _size_of(words)
        body.set_input_embeddings(nn.Identity())  # type: ignore[operator]
        self.body = body.eval()
        trainable = shape.options.get("trainable", "nothing")
        for module in body.modules():
            trained = trainable == "all" or (trainable == "norms" and type(module).__name__.endswith("Norm"))
            for parameter in module.parameters(recurse=False):
                parameter.requires_grad_(trained)
        self.read_in, self.read_out = _network(shape.inputs, shape.width), _network(shape.width, shape.outputs)
        with torch.no_grad():  # scale the read-in to the size of the token embeddings
            points = torch.nn.functional.pad(2.0 * torch.randint(0, 2, (64, shape.inputs - 1)) - 1, (0, 1))
            self.read_in[-1].weight.mul_(scale / _size(self.read_in(points)))  # type: ignore[operator]

    @property
    def longest(self) -> int | None:
        return self.shape.tokens

    def attention(self, inputs: Tensor) -> dict[int, Tensor]:
        self._check_length(inputs.shape[1])
        body: Any = self.body
        with plain_attention(body):
            weights = body(inputs_embeds=self.read_in(inputs), use_cache=False, output_attentions=True).attentions
        return dict(enumerate(weights))  # (B, H, T, T) each

    def forward(self, inputs: Tensor, every: int = 1) -> Tensor:
        """Raises ValueError for a sequence longer than the language model's context."""
        self._check_length(inputs.shape[1])
        stream = self.body(inputs_embeds=self.read_in(inputs), use_cache=False).last_hidden_state  # (B, T, D)
        return self.read_out(stream[:, ::every])

    def _check_length(self, tokens: int) -> None:
        if tokens > self.shape.tokens:
            raise ValueError(f"a sequence of {tokens} tokens is longer than the model's context of {self.shape.tokens}")

    def train(self, mode: bool = True) -> "Pretrained":
        """Disables the language model's dropout."""
        super().train(mode)
        self.body.eval()
        return self


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let a transformers model return attention weights, which fused kernels do not."""
    usual = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(usual)


def _network(inside: int, outside: int) -> nn.Sequential:
    return nn.Sequential(
        linear(inside, _HIDDEN), nn.ReLU(), linear(_HIDDEN, _HIDDEN), nn.ReLU(), linear(_HIDDEN, outside)
    )


def _size_of(words: Any) -> float:
    """The root mean square of the token embeddings."""
    count = words.weight.shape[0]
    with torch.no_grad():
        return _size(words(torch.arange(0, count, max(1, count // 1000), device=words.weight.device)))


def _size(numbers: Tensor) -> float:
    """The root mean square."""
    return float(numbers.float().square().mean().sqrt())
