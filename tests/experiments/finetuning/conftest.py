"""Tiny random models of six families, each with its own layout of projections, and a reader of words. Some tokenizers
write a token before a text.
"""

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    XGLMConfig,
)

from llm_icl.experiments.finetuning.reader import Reader
from llm_icl.experiments.finetuning.text_tasks import Example, TextTask

TASK = TextTask("toy", "", "", "train", "test", "{{ text }} :", ("bad", "very good", "so so la"), 3)
WORDS = "<end> <begin> \n : a film that is long short dull bright bad very good so la".split(" ")
SIZES = {"vocab_size": len(WORDS), "max_position_embeddings": 96}
NARROW = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
CONFIGS = {
    "gpt2": GPT2Config(
        vocab_size=len(WORDS), n_positions=96, n_embd=16, n_layer=3, n_head=4, bos_token_id=0, eos_token_id=0
    ),
    "llama": LlamaConfig(**SIZES, **NARROW, num_key_value_heads=2, bos_token_id=1, eos_token_id=0),
    "gemma": Gemma3TextConfig(
        **SIZES, **NARROW, num_key_value_heads=1, head_dim=8, sliding_window=8, bos_token_id=1, eos_token_id=0,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "neox": GPTNeoXConfig(**SIZES, **NARROW, bos_token_id=0, eos_token_id=0),
    "xglm": XGLMConfig(vocab_size=len(WORDS), max_position_embeddings=96, d_model=16, ffn_dim=32, num_layers=3,
                       attention_heads=4, dropout=0.0, attention_dropout=0.0, bos_token_id=0, eos_token_id=0),
    "phi": Phi3Config(**SIZES, **NARROW, num_key_value_heads=2, bos_token_id=0, eos_token_id=0, pad_token_id=0),
}  # fmt: skip
FAMILIES = list(CONFIGS)
# What the tokenizers of some families write before a text.
BEGINNINGS = {"llama": "<begin>", "gemma": "<begin>", "xglm": "<end>"}
DEMONSTRATIONS = [
    Example("a film that is long and dull :".replace("and ", ""), 0),
    Example("a film that is bright :", 1),
    Example("a long film :", 2),
]
QUERIES = [Example("a short film that is dull :", 0), Example("film :", 2)]


def make_reader(family: str, separator: str = "newline", config=None, task=TASK, seed=0) -> Reader:
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config or CONFIGS[family], dtype=torch.float32)
    for parameter in model.parameters():  # sharper than a fresh model, so that errors show
        parameter.data.mul_(3)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<end>"))
    words.pre_tokenizer = pre_tokenizers.Split(" ", "removed")
    if beginning := BEGINNINGS.get(family):
        words.post_processor = processors.TemplateProcessing(
            single=f"{beginning} $A", special_tokens=[(beginning, WORDS.index(beginning))]
        )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>", bos_token="<begin>")
    return Reader(model, tokenizer, task, separator)


@pytest.fixture(params=FAMILIES)
def reader(request) -> Reader:
    return make_reader(request.param)
