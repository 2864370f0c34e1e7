"""Language models with random weights and a tokenizer, made on the spot: nothing is downloaded."""

from pathlib import Path
from typing import Any

import torch
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from llm_icl.asking.plan import plan_for
from llm_icl.backends import find_model
from llm_icl.backends.transformers import TransformersModel
from llm_icl.config.specs import parse_specs
from llm_icl.problems import Problems
from llm_icl.prompting import load_prompt
from llm_icl.prompting.layout import Curve
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.backends.making import EOS, byte_level

_TOKENIZER = {"bos_token_id": 1, "eos_token_id": 2}


def llama(folder: Path, toy: bool) -> Path:
    """Of the shape of SmolLM2-135M, or smaller."""
    layers, width, inside, heads, words = (2, 64, 128, (4, 2), 1_000) if toy else (30, 576, 1536, (9, 3), 49_152)
    config = LlamaConfig(
        hidden_size=width, intermediate_size=inside, num_hidden_layers=layers, num_attention_heads=heads[0],
        num_key_value_heads=heads[1], vocab_size=words, max_position_embeddings=8192, tie_word_embeddings=True,
        **_TOKENIZER,
    )  # fmt: skip
    return _saved(LlamaForCausalLM(config), folder)


def sliding(folder: Path) -> Path:
    """A small Gemma 3, most of whose layers see the last 16 tokens only."""
    config = Gemma3TextConfig(
        vocab_size=1_000, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, sliding_window=16, max_position_embeddings=8192,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], **_TOKENIZER,
    )  # fmt: skip
    return _saved(Gemma3ForCausalLM(config), folder)


def _saved(model: Any, folder: Path) -> Path:
    for parameter in model.parameters():  # sharper than a fresh model, so that errors show
        parameter.data.mul_(2)
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=byte_level(), eos_token=EOS).save_pretrained(folder)
    return folder


def loaded(folder: Path, device: torch.device | str, dtype: str) -> TransformersModel:
    return TransformersModel(find_model(f"hf/{folder}:device={device},dtype={dtype}"))


def problems(n: int, points: int, count: int) -> Problems:
    return draw_problems(load_task(parse_specs(["majority"])[0]), n, points, count, 0)


def curves(model: TransformersModel, drawn: Problems, prompt: str = "basic") -> tuple[list[Curve], int]:
    """A curve for each problem, and the number of tokens that all share."""
    plan = plan_for(model, load_prompt(parse_specs([prompt])[0]), drawn, range(drawn.points), "curve")
    return [call.request.curve for call in plan.calls], plan.shared  # type: ignore[union-attr]
