"""A feed-forward network trained from scratch on the examples of each prefix (Bhattamishra et al. 2024)."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llm_icl.errors import RequestError
from llm_icl.learners.base import Learner, learners
from llm_icl.problems import Answers, Bits, Problems
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
        points = problems.points
        # Prefix k holds points < k. One network per prefix: (N·m, …).
        inside = np.tril(np.ones((points, points), dtype=np.float32), k=-1)
        parts = []
        for some in self._chunks(problems, points):
            trained = self._train(some, np.tile(inside, (len(some), 1)))
            parts.append(_probability(trained, some.xs.reshape(-1, 1, problems.n)).reshape(len(some), points))
        probability = np.concatenate(parts)
        probability[:, 0] = 0.5
        return Answers.from_probability(probability)

    def answer_queries(self, contexts: Problems, queries: Bits) -> Answers:
        if contexts.points == 0:
            return Answers.from_probability(np.full(queries.shape[:2], 0.5))
        parts, start = [], 0
        for some in self._chunks(contexts, 1):
            trained = self._train(some, np.ones(some.ys.shape, dtype=np.float32))
            parts.append(_probability(trained, queries[start : start + len(some)]))
            start += len(some)
        return Answers.from_probability(np.concatenate(parts))

    def _chunks(self, problems: Problems, networks: int) -> Iterator[Problems]:
        """Problems in chunks that fit into memory with so many networks each."""
        sizes = (problems.n, self.hidden, self.hidden, 1)
        weights = sum(a * b + b for a, b in pairwise(sizes))
        chunk = max(1, _CHUNK // (weights * networks))
        for start in range(0, len(problems), chunk):
            yield problems[start : start + chunk]

    def _train(self, problems: Problems, inside: NDArray[np.float32]) -> "list[Tensor]":
        """The parameters of F networks trained side by side, F a multiple of the N problems; `inside` (F, m) says which
        of its problem's points a network is trained on.
        """
        import torch

        each = len(inside) // len(problems)
        signs = torch.from_numpy(problems.xs.astype(np.float32) * 2 - 1)  # (N, m, n)
        start = [torch.from_numpy(a) for a in initial_weights(problems.indices, self.seed, problems.n, self.hidden)]
        parameters = [a.repeat_interleave(each, dim=0).requires_grad_() for a in start]
        examples = signs.repeat_interleave(each, dim=0)  # (F, m, n)
        labels = torch.from_numpy(problems.shown.astype(np.float32)).repeat_interleave(each, dim=0)  # (F, m)
        weight = torch.from_numpy(inside / np.maximum(inside.sum(axis=-1, keepdims=True), 1))
        optimizer = torch.optim.Adam(parameters, lr=self.rate)
        for _ in range(self.steps):
            logits = _logits(parameters, examples)  # (F, m)
            # Cross-entropy written out: torch's own rounds differently at different positions of a batch.
            losses = logits.clamp(min=0) - logits * labels + torch.log1p(torch.exp(-logits.abs()))
            optimizer.zero_grad()
            (losses * weight).sum().backward()
            optimizer.step()
        return parameters


def _probability(parameters: "list[Tensor]", queries: Bits) -> NDArray[np.float64]:
    """P(y = 1) of the networks at queries (F, Q, n): (F, Q)."""
    import torch

    with torch.no_grad():
        logits = _logits(parameters, torch.from_numpy(queries.astype(np.float32) * 2 - 1))
    return 1 / (1 + np.exp(-logits.double().numpy()))


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
