"""Linear attention: attention without the softmax."""

import math

from torch import Tensor

from local_models.architectures import architecture
from local_models.chunks import decayed_sums
from local_models.mixers.base import Mixer, check_heads, full_precision, join_heads, linear, split_heads


@architecture("linear-attention", "attention without the softmax (Katharopoulos et al. 2020)")
class LinearAttention(Mixer):
    """S_t = S_{t-1} + k_t v_t^T, y_t = S_t^T q_t, in heads (Katharopoulos et al. 2020 without feature map and
    normaliser, as in the dual form of Dai et al. 2023). Without positions it ignores the order of earlier tokens.
    """

    needs_positions = True

    def __init__(self, width: int, layers: int, heads: int = 4) -> None:
        super().__init__(width, layers)
        check_heads(width, heads)
        self.heads = heads
        self.inside = linear(width, 3 * width)
        self.outside = self.output_projection()

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self._projected(x)
        with full_precision(v) as values:
            log_decay = values.new_zeros(x.shape[1])  # nothing is forgotten
            mixed = decayed_sums(q.to(values.dtype), k.to(values.dtype), values, log_decay)  # (B, H, T, P)
        return self.outside(join_heads(mixed.to(v.dtype)))

    def initial_state(self, batch: int) -> Tensor:
        """The sum of the outer products so far, (B, H, P, P)."""
        size = self.width // self.heads
        return self.like(batch, self.heads, size, size)

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v = self._projected(x.unsqueeze(1))  # (B, H, 1, P) each
        state = state + k.transpose(-1, -2) @ v  # (B, H, P, P)
        return self.outside(join_heads(q @ state)).squeeze(1), state

    def _projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (B, H, T, P) each."""
        q, k, v = (split_heads(part, self.heads) for part in self.inside(x).chunk(3, -1))
        return q / math.sqrt(q.shape[-1]), k, v
