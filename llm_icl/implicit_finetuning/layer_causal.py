"""Layer-causal gradient descent (Deutch et al. 2024): a layer learns only from what it and the layers before it know.

In a forward pass information flows upwards only; in backpropagation a layer is told by all layers above it what they
would have liked. Here every layer's output is read out as if it were the last one's, and its own loss changes that
layer alone: no gradient passes from a layer to the one below.
"""

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from llm_icl.errors import RequestError
from llm_icl.implicit_finetuning.projections import Layer
from llm_icl.implicit_finetuning.reader import Reader

# What the families call the norm before the words are read out.
_LAST_NORMS = ("norm", "ln_f", "final_layer_norm")


class LayerCausal:
    """The gradients of all layers' own losses. Calling it gives the loss of the last layer, in nats a token."""

    def __init__(self, model: Any, layers: Sequence[Layer]) -> None:
        """Raises RequestError for a model whose parts are not known here."""
        norms = [getattr(model.base_model, name) for name in _LAST_NORMS if hasattr(model.base_model, name)]
        if not norms:
            raise RequestError(f"where {type(model).__name__} reads out its words is not known")
        self._norm, self._words = norms[0], model.get_output_embeddings()
        attention = {id(layer.module) for layer in layers}
        self._blocks = [m for m in model.modules() if any(id(child) in attention for child in m.children())]

    def __call__(self, reader: Reader, ids: Tensor) -> float:
        outputs: list[Tensor] = []

        def stop(
            _: nn.Module, given: tuple[Any, ...], options: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return (given[0].detach(), *given[1:]), options

        def keep(_: nn.Module, __: Any, output: Any) -> None:
            outputs.append(output[0] if isinstance(output, tuple) else output)

        hooks = [block.register_forward_pre_hook(stop, with_kwargs=True) for block in self._blocks]
        hooks += [block.register_forward_hook(keep) for block in self._blocks]
        try:
            reader.model(input_ids=ids, use_cache=False, logits_to_keep=1)
        finally:
            for hook in hooks:
                hook.remove()
        loss = 0.0
        for output in outputs:  # one after the other: the words' logits of all layers at once would take much memory
            own = F.cross_entropy(self._words(self._norm(output))[0, :-1].float(), ids[0, 1:])
            own.backward()
            loss = float(own.detach())
        return loss
