"""Muon for the matrices inside the blocks, AdamW for the rest, or AdamW for all."""

import math
from collections.abc import Callable, Iterable
from typing import Any, cast

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
            alike: dict[tuple[torch.Size, torch.device], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike.setdefault((parameter.shape, parameter.device), []).append(parameter)
            for parameters in alike.values():
                self._update(parameters, group["lr"], group["momentum"])

    def _update(self, parameters: list[Tensor], rate: float, momentum: float) -> None:
        """One step of matrices of equal shape, whose iterations run together."""
        for parameter in parameters:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        gradients = [cast(Tensor, parameter.grad) for parameter in parameters]
        velocities = [self.state[parameter]["momentum"] for parameter in parameters]
        torch._foreach_mul_(velocities, momentum)
        torch._foreach_add_(velocities, gradients)
        ahead = torch._foreach_add(gradients, velocities, alpha=momentum)  # Nesterov's
        updates = orthogonalised(torch.stack(ahead)).unbind()
        scale = 0.2 * math.sqrt(max(parameters[0].shape))
        torch._foreach_add_(parameters, updates, alpha=-rate * scale)


def orthogonalised(matrices: Tensor, steps: int = 5) -> Tensor:
    """About U V^T for each matrix U S V^T of (..., rows, columns): five Newton-Schulz steps, which move all singular
    values near 1.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    # bfloat16 is fast on a GPU, but without the instructions for it ten times slower than float32 on a CPU.
    x = matrices.to(torch.bfloat16 if matrices.is_cuda else torch.float32)
    x = x.reshape(-1, *x.shape[-2:])  # (G, rows, columns)
    tall = x.shape[1] > x.shape[2]
    x = x.mT if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        square = x @ x.mT
        polynomial = torch.baddbmm(square, square, square, beta=b, alpha=c)  # b X X^T + c (X X^T)^2
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape).to(matrices.dtype)


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
