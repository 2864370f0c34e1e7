"""Builds networks: an architecture trained from scratch, or a pretrained LM with new read-in and read-out layers."""

import dataclasses
from typing import Any

import torch

from llm_icl.backends.base import ModelEntry, backends
from llm_icl.backends.catalogue import find_model, model_names
from llm_icl.backends.forward.self_check import check_causal
from llm_icl.backends.loading import load_model, loading
from llm_icl.config.specs import Spec, only_known
from llm_icl.errors import RequestError, unknown_name
from llm_icl.networks.architectures import architectures
from local_models.backbone import Backbone, Network, Shape, width_for
from local_models.pretrained import TRAINABLE, Pretrained

# The options of a pretrained model and their defaults; weights=random is the control.
PRETRAINED_OPTIONS: dict[str, Any] = {"trainable": "nothing", "weights": "pretrained"}
# A network of this size takes 160 GB in training.
_MOST_PARAMETERS = 10**10


def shape_for(spec: Spec, n: int, points: int, layers: int, width: int, parameters: int | None, seed: int) -> Shape:
    """The shape of a network for problems of this size; a number of parameters determines the width.

    A pretrained model has its own layers and width; `weights=random` is a control with the same architecture and
    random weights. Raises RequestError for an unknown architecture, or an invalid width or number.
    """
    if spec.name not in architectures():
        if parameters is not None:
            raise RequestError(f"'{spec}' has a fixed number of parameters: omit --parameters")
        return _pretrained_shape(spec, n, points, seed)
    only_known("architecture", str(spec), dict(spec.options), architectures()[spec.name].options)
    options = {key.replace("-", "_"): value for key, value in spec.options}
    shape = Shape(spec.name, n + 1, layers=layers, width=width, tokens=2 * points, options=options)
    try:
        if parameters is not None:
            shape = dataclasses.replace(shape, width=width_for(shape, parameters))
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in Backbone(shape).parameters())
        if size > _MOST_PARAMETERS:
            raise RequestError(f"'{spec}' would have {size:,} parameters, at most {_MOST_PARAMETERS:,} are possible")
    except (ValueError, RuntimeError, TypeError) as problem:
        raise RequestError(str(problem)) from None
    return shape


def build(shape: Shape, seed: int) -> Network:
    """An untrained network of this shape. Raises RequestError if its pretrained weights are unavailable."""
    if not is_pretrained(shape):
        torch.manual_seed(seed)
        return Backbone(shape)
    body = _body(find_model(shape.architecture), shape.options.get("random"))
    torch.manual_seed(seed)
    return Pretrained(shape, body)


def is_pretrained(shape: Shape) -> bool:
    return shape.architecture not in architectures()


def _pretrained_shape(spec: Spec, n: int, points: int, seed: int) -> Shape:
    from transformers import AutoConfig

    only_known("pretrained model", spec.name, dict(spec.options), PRETRAINED_OPTIONS)
    given = PRETRAINED_OPTIONS | dict(spec.options)
    for key, known in (("trainable", TRAINABLE), ("weights", ("pretrained", "random"))):
        if given[key] not in known:
            raise RequestError(f"'{spec}': {key} must be one of {', '.join(known)}, not '{given[key]}'")
    entry = pretrained_entry(spec.name)
    source, how = backends.get(entry.backend).source(entry)
    with loading(spec.name):
        config = AutoConfig.from_pretrained(source, **how).get_text_config()
    longest = getattr(config, "max_position_embeddings", None)
    if longest is None:
        raise RequestError(f"model '{spec.name}' does not state its context length, which training requires")
    if 2 * points > longest:
        raise RequestError(f"'{spec.name}' supports at most {longest // 2} points, not {points}")
    options: dict[str, Any] = {"trainable": given["trainable"]}
    if given["weights"] == "random":
        options["random"] = seed
    return Shape(
        spec.name, n + 1, width=config.hidden_size, layers=config.num_hidden_layers,
        tokens=longest, options=options,
    )  # fmt: skip


def pretrained_entry(name: str) -> ModelEntry:
    local = [key for key, entry in model_names().items() if backends.get(entry.backend).local]
    if "/" not in name and name not in local:
        raise unknown_name("architecture", name, [*architectures(), *local], "; or hf/ORGANISATION/NAME")
    return find_model(name)


def _body(entry: ModelEntry, random: int | None) -> Any:
    from transformers import AutoConfig, AutoModel

    source, how = backends.get(entry.backend).source(entry)
    if random is None:
        body = load_model(AutoModel, entry.name, source, torch.float32, how)
    else:
        torch.manual_seed(random)
        body = AutoModel.from_config(AutoConfig.from_pretrained(source, **how), dtype=torch.float32).eval()
    _check_causal(entry.name, body)
    return body


def _check_causal(name: str, body: Any) -> None:
    """Raise RequestError for a model that reads later points, whose labels are the answers."""
    generator = torch.Generator().manual_seed(0)
    first, rest, other = torch.randn(3, 1, 8, body.config.get_text_config().hidden_size, generator=generator)

    def run(inputs: torch.Tensor) -> torch.Tensor:
        stream: torch.Tensor = body(inputs_embeds=inputs, use_cache=False).last_hidden_state
        return stream  # (1, T, D)

    with torch.inference_mode():
        check_causal(name, run, torch.cat([first, rest], 1), torch.cat([first, other], 1), torch.float32)
