"""Ends that are packed into one sequence have the logits of passes over whole sequences, or are not packed."""

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
)

from llm_icl.backends.forward.packing import Packing
from local_models.kv_cache import cached, new_cache

VOCABULARY = 50
WINDOW = 64


def model_of(kind):
    torch.manual_seed(0)
    sizes = {
        "vocab_size": VOCABULARY, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16,
        "num_attention_heads": 2, "num_key_value_heads": 1,
    }  # fmt: skip
    if kind == "grouped":
        return LlamaForCausalLM(LlamaConfig(**sizes)).eval()
    if kind == "learned positions":
        return GPT2LMHeadModel(
            GPT2Config(vocab_size=VOCABULARY, n_positions=256, n_embd=32, n_layer=2, n_head=2)
        ).eval()
    layers = ["sliding_attention", "full_attention"]
    return Gemma3ForCausalLM(Gemma3TextConfig(**sizes, sliding_window=WINDOW, layer_types=layers)).eval()


@torch.inference_mode()
def asked(model, packing, before, count, length=6, seed=0):
    """Logits by packing, logits by whole sequences, and how many passes packing took."""
    source = torch.Generator().manual_seed(seed)
    prefix = torch.randint(VOCABULARY, (1, before), generator=source)
    ends = torch.randint(VOCABULARY, (count, length), generator=source)
    kept = torch.tensor([length - 3, length - 1])
    cache = new_cache(model)
    model(input_ids=prefix, **cached(model, cache))
    passes = []
    counting = model.register_forward_pre_hook(lambda *given: passes.append(1))
    found = packing.logits(ends, kept, cache, before)
    counting.remove()
    whole = model(input_ids=torch.cat([prefix.expand(count, -1), ends], dim=1)).logits[:, before + kept]
    assert cache.get_seq_length() == before  # the prefix is as it was
    return found, whole, len(passes)


@pytest.mark.parametrize("kind", ["grouped", "learned positions"])
def test_packed_ends_have_the_logits_of_whole_sequences(kind):
    model = model_of(kind)
    packing = Packing(model)
    for before, count, passes in ((40, 4, 2), (30, 5, 1), (40, 4, 1), (50, 8, 2), (20, 8, 1), (8, 3, 1), (60, 1, 1)):
        found, whole, taken = asked(model, packing, before, count, seed=before + count)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-3)
        assert taken == passes, (before, count)


def test_ends_are_not_packed_beyond_a_window_of_attention():
    model = model_of("sliding")
    packing = Packing(model)
    for before, count, passes in ((30, 4, 2), (30, 4, 1), (70, 4, 2), (90, 4, 1), (30, 4, 1)):
        found, whole, taken = asked(model, packing, before, count, seed=before)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-3)
        assert taken == passes, (before, count)


def test_what_one_end_sees_may_be_longer_in_a_sequence_that_is_not():
    """A short prefix with many ends, and then a longer one with few: in all fewer tokens, but beyond the window."""
    model = model_of("sliding")
    packing = Packing(model)
    for before, count in ((40, 6), (62, 2), (40, 6)):
        found, whole, _ = asked(model, packing, before, count, seed=before)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-3)


def test_a_model_without_numbers_of_positions_is_not_packed():
    """ALiBi goes by place; in half precision what is wrong then could pass for rounding."""
    torch.manual_seed(0)
    model = BloomForCausalLM(BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=2)).eval()
    packing = Packing(model)
    for before, count in ((40, 4), (40, 4)):
        found, whole, taken = asked(model, packing, before, count, seed=before)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-3)
        assert taken == 1


def test_a_model_that_expects_no_such_mask_is_asked_in_rows():
    model = model_of("grouped")

    def refuse(module, given, named):
        if "attention_mask" in named:
            raise TypeError("forward() got an unexpected keyword argument 'attention_mask'")

    model.register_forward_pre_hook(refuse, with_kwargs=True)
    packing = Packing(model)
    for seed in range(2):
        found, whole, _ = asked(model, packing, 40, 4, seed=seed)
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-3)
