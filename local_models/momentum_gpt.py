"""GPT-2 with momentum in its attention, as a transformers model."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, GPT2Model
from transformers import initialization as init
from transformers.models.gpt2.modeling_gpt2 import GPT2Attention

from local_models.kv_cache import cache_among
from local_models.mixers.momentum import FILTER_TERMS, decayed_past, filtered_past


class MomentumGPTConfig(GPT2Config):
    """`learned` selects the filter of the authors' code; else the paper's formula with the coefficient `eta`."""

    model_type = "momentum-gpt"

    learned: bool = False
    eta: float = 0.5


class MomentumGPTAttention(GPT2Attention):
    """Attention with a sum over past values added to each head before the output projection (Dai et al. 2023, §5).

    The projection is linear, so the sum is projected separately: attention kernels and KV caches are unchanged.
    Sequences must not be padded.
    """

    def __init__(self, config: MomentumGPTConfig, layer_idx: int) -> None:
        super().__init__(config, layer_idx=layer_idx)
        if config.learned:
            self.delta = nn.Parameter(torch.empty(self.embed_dim, FILTER_TERMS))
            self.gamma = nn.Parameter(torch.empty(self.embed_dim, FILTER_TERMS))

    def forward(self, hidden_states: Any, **options: Any) -> Any:
        mixed, weights = super().forward(hidden_states, **options)
        cache = cache_among(options)
        values = self._values(hidden_states) if cache is None else cache.layers[self.layer_idx].values  # (B, H, T, P)
        added = self._momentum(values)[:, :, -hidden_states.shape[1] :].transpose(1, 2).flatten(2)  # (B, new tokens, D)
        return mixed + added @ self.c_proj.weight, weights

    def _values(self, hidden_states: Tensor) -> Tensor:
        """The values (B, H, T, P) of attention."""
        start = 2 * self.embed_dim
        made = hidden_states @ self.c_attn.weight[:, start:] + self.c_attn.bias[start:]  # (B, T, D)
        return made.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)

    def _momentum(self, values: Tensor) -> Tensor:
        if self.config.learned:
            return filtered_past(values, self.delta, self.gamma)
        return decayed_past(values, torch.tensor(self.config.eta, dtype=torch.float64, device=values.device))


class MomentumGPTBody(GPT2Model):
    """The model without its head."""

    config_class = MomentumGPTConfig

    def __init__(self, config: MomentumGPTConfig) -> None:
        super().__init__(config)
        for layer, block in enumerate(self.h):
            block.attn = MomentumGPTAttention(config, layer)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, MomentumGPTAttention) and self.config.learned:
            init.normal_(module.delta, std=0.2)
            init.normal_(module.gamma)

    @classmethod
    def is_custom_code(cls) -> bool:
        """False: the initialisation here does not overwrite loaded weights."""
        return False


class MomentumGPT(GPT2LMHeadModel):
    """The language model. With eta = 0 or gamma = 0 it equals GPT-2."""

    config_class = MomentumGPTConfig

    def __init__(self, config: MomentumGPTConfig) -> None:
        super().__init__(config)
        self.transformer = MomentumGPTBody(config)
        self.post_init()


AutoConfig.register(MomentumGPTConfig.model_type, MomentumGPTConfig)
AutoModelForCausalLM.register(MomentumGPTConfig, MomentumGPT)
