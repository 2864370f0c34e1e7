"""Layer-causal gradient descent (Deutch et al. 2024): a layer learns only from itself and the layers below it.

In a forward pass information flows upwards only, but in backpropagation a layer receives gradients from all layers
above it. Here every layer's output is read out as if it were the last one's, and its own loss changes that layer only:
no gradient flows from a layer to the one below.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.projections import Layer
from llm_icl.experiments.finetuning.reader import Reader

# Tokens, of any layers, that are read out at once: fewer are slower, and more take more memory for their logits.
_ROWS = 256
# Names of the norm before the output embeddings.
_LAST_NORMS = ("norm", "ln_f", "final_layer_norm", "layer_norm")


class LayerCausal:
    """Sets the gradients of all layers' own losses. Calling it returns the loss of the last layer, in nats a token."""

    def __init__(self, model: Any, layers: Sequence[Layer]) -> None:
        """Raises RequestError for a model whose read-out is more than a norm and the output embeddings."""
        norms = [getattr(model.base_model, name) for name in _LAST_NORMS if hasattr(model.base_model, name)]
        attention = {id(layer.module) for layer in layers}
        self._blocks = [m for m in model.modules() if any(id(child) in attention for child in m.children())]
        self._norm, self._words = norms[0] if norms else nn.Identity(), model.get_output_embeddings()
        if not self._reads_out(model):
            raise RequestError(
                f"the read-out of {type(model).__name__} is unknown: it is not a norm and output embeddings"
            )

    @torch.no_grad()
    def _reads_out(self, model: Any) -> bool:
        """Whether the last block's output, read out like this, gives the model's own logits."""
        outputs: list[Tensor] = []
        hook = self._blocks[-1].register_forward_hook(lambda *run: outputs.append(_stream(run[2])))
        try:
            logits = model(input_ids=torch.arange(8, device=model.device).unsqueeze(0), use_cache=False).logits
        finally:
            hook.remove()
        return torch.allclose(self._words(self._norm(outputs[0])), logits, rtol=1e-3, atol=1e-3)

    def __call__(self, reader: Reader, ids: Tensor) -> float:
        outputs: list[Tensor] = []

        def stop(
            _: nn.Module, inputs: tuple[Any, ...], options: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return (inputs[0].detach(), *inputs[1:]), options

        def keep(_: nn.Module, __: Any, output: Any) -> None:
            outputs.append(_stream(output))

        hooks = [block.register_forward_pre_hook(stop, with_kwargs=True) for block in self._blocks]
        hooks += [block.register_forward_hook(keep) for block in self._blocks]
        try:
            reader.model(input_ids=ids, use_cache=False, logits_to_keep=1)
        finally:
            for hook in hooks:
                hook.remove()
        rows = torch.cat([self._norm(output)[0, :-1] for output in outputs])  # of (1, T, D): (L (T - 1), D)
        right = ids[0, 1:].repeat(len(outputs))  # (L (T - 1),)
        parts = [self._read_out(*part) for part in zip(rows.detach().split(_ROWS), right.split(_ROWS), strict=True)]
        losses, gradients = (torch.cat(part) for part in zip(*parts, strict=True))
        count = ids.shape[1] - 1
        rows.backward(gradients / count)
        return float(losses[-count:].mean())

    @torch.no_grad()
    def _read_out(self, rows: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
        """The loss (R,) of each row (R, D), and its gradient (R, D): the softmax minus 1 at the right token, times the
        output embeddings. In place, since the logits are most of what there is to compute.
        """
        logits = self._words(rows).float()  # (R, vocabulary)
        scale = logits.logsumexp(-1, keepdim=True)
        at = right.unsqueeze(-1)
        losses = (scale - logits.gather(-1, at)).squeeze(-1)
        softmax = logits.sub_(scale).exp_()
        softmax.scatter_add_(-1, at, -torch.ones_like(scale))
        return losses, softmax @ self._words.weight.float()


def _stream(output: Any) -> Tensor:
    """The residual stream after a block."""
    stream: Tensor = output[0] if isinstance(output, tuple) else output  # (B, T, D)
    return stream
