"""A feed-forward network trained from scratch on the examples of each prefix (Bhattamishra et al. 2024)."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Problems
from llm_icl.randomness import Source

if TYPE_CHECKING:
    from torch import Tensor

# Networks trained side by side, in parameters: bounds the memory at about 1 GiB with gradients and moments.
_CHUNK = 2**25


@learners.register("feed-forward")
@dataclass(frozen=True)
class FeedForward(Learner):
    """Two hidden layers of ReLUs, trained from the same start on each prefix: full-batch Adam on the cross-entropy.

    The paper does not state its settings for Boolean tasks. The defaults are the only settings in its code: 100
    hidden units, Adam at 5e-3, 100 steps. Inputs are in {-1, +1}. Without examples P(y = 1) = 0.5.
    """

    hidden: int = 100
    rate: float = 5e-3
    steps: int = 100
    seed: int = 0

    def check(self) -> None:
        if min(self.hidden, self.steps) < 1 or not 0 < self.rate < float("inf"):
            raise RequestError("feed-forward: hidden and steps must be at least 1, and rate (learning rate) above 0")

    def answer(self, problems: Problems) -> Answers:
        sizes = (problems.n, self.hidden, self.hidden, 1)
        weights = sum(a * b + b for a, b in pairwise(sizes))
        chunk = max(1, _CHUNK // (weights * problems.points))
        parts = [self._train(problems[start : start + chunk]) for start in range(0, len(problems), chunk)]
        return Answers.from_probability(np.concatenate(parts))

    def _train(self, problems: Problems) -> NDArray[np.float64]:
        """P(y = 1) at every position, (N, m), from N·m networks trained in one batched computation."""
        import torch

        count, points, n = problems.xs.shape
        signs = torch.from_numpy(problems.xs.astype(np.float32) * 2 - 1)  # (N, m, n)
        start = [torch.from_numpy(a) for a in initial_weights(problems.indices, self.seed, n, self.hidden)]
        # One copy of its problem's initial weights per prefix: (N·m, …).
        parameters = [a.repeat_interleave(points, dim=0).requires_grad_() for a in start]
        examples = signs.repeat_interleave(points, dim=0)  # (N·m, m, n)
        labels = torch.from_numpy(problems.shown.astype(np.float32)).repeat_interleave(points, dim=0)  # (N·m, m)
        inside = torch.tril(torch.ones(points, points), diagonal=-1).repeat(count, 1)  # prefix k holds points < k
        weight = inside / inside.sum(dim=-1, keepdim=True).clamp(min=1)
        optimizer = torch.optim.Adam(parameters, lr=self.rate)
        for _ in range(self.steps):
            logits = _logits(parameters, examples)  # (N·m, m)
            # Cross-entropy written out: torch's own rounds differently at different positions of a batch.
            losses = logits.clamp(min=0) - logits * labels + torch.log1p(torch.exp(-logits.abs()))
            optimizer.zero_grad()
            (losses * weight).sum().backward()
            optimizer.step()
        with torch.no_grad():
            queries = signs.reshape(count * points, 1, n)
            logits = _logits(parameters, queries).reshape(count, points)  # (N, m)
        probability = 1 / (1 + np.exp(-logits.double().numpy()))
        probability[:, 0] = 0.5
        return probability


def _logits(parameters: "list[Tensor]", xs: "Tensor") -> "Tensor":
    """The networks' logits (F, b) at xs (F, b, n)."""
    import torch

    first, first_bias, second, second_bias, last, last_bias = parameters
    hidden = torch.relu(torch.baddbmm(first_bias, xs, first))  # (F, b, hidden)
    hidden = torch.relu(torch.baddbmm(second_bias, hidden, second))
    return torch.baddbmm(last_bias, hidden, last)[..., 0]


def initial_weights(indices: NDArray[np.int64], seed: int, n: int, hidden: int) -> list[NDArray[np.float32]]:
    """PyTorch's default for linear layers, uniform within ±1/√inputs; drawn from the problem's index and the seed."""
    source = Source.of(f"feed-forward {seed}", indices)
    arrays = []
    for layer, (inputs, outputs) in enumerate(((n, hidden), (hidden, hidden), (hidden, 1))):
        bound = inputs**-0.5
        for kind, shape in (("weight", (inputs, outputs)), ("bias", (1, outputs))):
            uniform = source.uniform(f"{kind} {layer}", *shape)
            arrays.append(((2 * uniform - 1) * bound).astype(np.float32))
    return arrays
