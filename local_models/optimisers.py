"""Muon for the matrices inside the blocks, AdamW for the rest, or AdamW for all."""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

# The learning rate of other parameters relative to the matrices': Muon's updates have a fixed size, AdamW needs a
# smaller learning rate.
_OTHERS = 0.5
_DECAY = 0.01


class Muon(torch.optim.Optimizer):
    """Momentum with orthogonalised updates (Jordan et al. 2024), scaled to the size of AdamW's updates."""

    def __init__(self, parameters: Iterable[Tensor], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                velocity = state["momentum"].mul_(group["momentum"]).add_(parameter.grad)
                ahead = parameter.grad.add(velocity, alpha=group["momentum"])  # Nesterov's
                scale = 0.2 * math.sqrt(max(parameter.shape))
                parameter.add_(orthogonalised(ahead), alpha=-group["lr"] * scale)


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """About U V^T where the matrix is U S V^T: five Newton-Schulz steps, which move all singular values near 1."""
    a, b, c = 3.4445, -4.7750, 2.0315
    # bfloat16 is fast on a GPU, but ten times slower than float32 on a CPU.
    x = matrix.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    wide = x.shape[0] <= x.shape[1]
    x = x if wide else x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x if wide else x.T).to(matrix.dtype)


def optimisers_for(model: nn.Module, name: str, rate: float) -> list[torch.optim.Optimizer]:
    """The optimisers of a training run: `muon` (with AdamW for all but the matrices of blocks), `adamw`, or `adam`
    without weight decay, as in Bhattamishra et al. 2024. Settings by `special` (no decay, maximum learning rate) are
    applied.
    """
    parameters = {key: value for key, value in model.named_parameters() if value.requires_grad}
    if name == "adam":
        return [torch.optim.Adam(parameters.values(), lr=rate)]
    matrices = _block_matrices(model) if name == "muon" else {}
    rest = {key: value for key, value in parameters.items() if key not in matrices}
    others = _OTHERS * rate if name == "muon" else rate
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for parameter in rest.values():
        decays = parameter.ndim >= 2 and not getattr(parameter, "no_decay", False)
        own = min(others, getattr(parameter, "max_rate", others))
        groups.setdefault((own, _DECAY if decays else 0.0), []).append(parameter)
    listed = [{"params": some, "lr": own, "weight_decay": decay} for (own, decay), some in groups.items()]
    adamw = torch.optim.AdamW(listed, lr=others, betas=(0.9, 0.98), fused=True)
    return [Muon(matrices.values(), rate), adamw] if matrices else [adamw]


def _block_matrices(model: nn.Module) -> dict[str, Tensor]:
    """The weights of linear maps to and from the residual stream. Parameters of filters, steps and gates have
    different scales and use AdamW.
    """
    names = ("mixer.inside", "mixer.outside", "mlp.0", "mlp.2")
    return {
        f"{name}.weight": layer.weight
        for name, layer in model.named_modules()
        if name.startswith("blocks.") and name.endswith(names) and isinstance(layer, nn.Linear)
    }
