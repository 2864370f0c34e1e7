"""Weights are loaded whole, or the error names those that could not be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoModelForCausalLM

from llm_icl.backends import find_model
from llm_icl.backends.embedded import convert_gguf
from llm_icl.backends.loading import load_model
from llm_icl.backends.weights import source_of
from llm_icl.errors import RequestError
from llm_icl.experiments.finetuning.reader import load_reader
from llm_icl.experiments.finetuning.text_tasks import load_text_task
from tests.backends.architectures.measuring import saved
from tests.inside import run_inside

WEIGHTS = "model.safetensors"
LAYER = "model.layers.0."
QUERY = f"{LAYER}self_attn.q_proj"
SIZE = "--task majority --n 3 --points 4 --problems 2".split()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A llama with a head of its own, one whose head is its embedding, and a DeepSeek."""
    from tests.backends.architectures.families import TINY

    folder = tmp_path_factory.mktemp("models")
    saved("llama", folder / "llama")
    saved("deepseek_v3", folder / "deepseek_v3")
    TINY["llama: tied"] = {"tie_word_embeddings": True}
    saved("llama: tied", folder / "tied")
    return folder


def changed(folder: Path, target: Path, change, config=()) -> Path:
    """A copy of a model with other weights and other fields of its configuration."""
    shutil.copytree(folder, target)
    save_file(change(load_file(target / WEIGHTS)), target / WEIGHTS, metadata={"format": "pt"})
    fields = json.loads((target / "config.json").read_text()) | dict(config)
    (target / "config.json").write_text(json.dumps(fields))
    return target


def load(folder: Path, auto=AutoModelForCausalLM, dtype=torch.float32):
    return load_model(auto, folder.name, folder, dtype, {})


def renamed(old, new):
    return lambda weights: {key.replace(old, new, 1): tensor for key, tensor in weights.items()}


def prefixed(prefix):
    return lambda weights: {f"{prefix}{key}": tensor for key, tensor in weights.items()}


def without(*names):
    return lambda weights: {key: tensor for key, tensor in weights.items() if key not in names}


def same(weights):
    return weights


def spoiled(name, value):
    def change(weights):
        weights[name].view(-1)[3] = value
        return weights

    return change


def added(name, *shape):
    return lambda weights: weights | {name: torch.ones(*shape)}


BROKEN = {
    "saved by a wrapper": (prefixed("module."), {}, r"lacks 21 of the model's 21 weights \(lm_head.weight, .*module\."),
    "saved compiled": (prefixed("_orig_mod."), {}, r"lacks 21 .*no place \(_orig_mod.lm_head.weight"),
    "another prefix": (renamed("model.", "decoder."), {}, r"lacks 20 .*decoder.embed_tokens.weight"),
    "no head": (without("lm_head.weight"), {}, r"lacks 1 of the model's 21 weights \(lm_head.weight\)"),
    "a lost weight": (without(f"{QUERY}.weight"), {}, rf"lacks 1 of .*\({QUERY}.weight\)"),
    "fewer layers than configured": (same, {"num_hidden_layers": 3}, r"lacks 9 of .*model.layers.2.input_layernorm"),
    "more layers than configured": (same, {"num_hidden_layers": 1}, r"9 weights .*no place \(model.layers.1."),
    "another width": (same, {"intermediate_size": 48}, r"another shape .*down_proj.weight: \[32, 64\], not \[32, 48\]"),
    "another vocabulary": (same, {"vocab_size": 300}, r"lm_head.weight: \[384, 32\], not \[300, 32\]"),
    "not a number": (spoiled("model.norm.weight", float("nan")), {}, r"not finite \(model.norm.weight\)"),
    "infinite": (spoiled("lm_head.weight", float("-inf")), {}, r"not finite \(lm_head.weight\)"),
    "packed weights": (renamed("q_proj.weight", "q_proj.qweight"), {}, r"lacks 2 .*no place \(.*q_proj.qweight"),
    "a quantized weight's scale": (added(f"{QUERY}.SCB", 32), {}, rf"1 weight .*no place \({QUERY}.SCB\)"),
    "a bias that is not configured": (added(f"{QUERY}.bias", 32), {}, rf"1 weight .*no place \({QUERY}.bias\)"),
    "a norm of another architecture": (added(f"{LAYER}self_attn.k_norm.weight", 8), {}, r"no place \(.*k_norm.weight"),
    "an adapter": (added(f"{QUERY}.lora_A.weight", 4, 32), {}, r"no place \(.*lora_A.weight\)"),
    "an adapter by peft's names": (
        added("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 4, 32), {}, "no place",
    ),
    "the norm's bias": (added("model.norm.bias", 32), {}, r"no place \(model.norm.bias\)"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_loaded_whole_is_refused_by_name(folders, tmp_path, case):
    change, config, message = BROKEN[case]
    with pytest.raises(RequestError, match=message) as raised:
        load(changed(folders / "llama", tmp_path / "model", change, config))
    assert "\n" not in str(raised.value)


HARMLESS = {
    "another head": added("score.weight", 2, 32),
    "the head of a reward model": added("v_head.summary.weight", 1, 32),
    "a vision tower": added("model.vision_tower.layers.0.mlp.weight", 4, 4),
    "frequencies that follow from the configuration": added(f"{LAYER}self_attn.rotary_emb.inv_freq", 4),
    "a mask of an older version": added(f"{LAYER}self_attn.masked_bias", 1),
    "the base model's names": renamed("model.", ""),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_does_not_change_the_model_does_not_matter(folders, tmp_path, case):
    found = load(changed(folders / "llama", tmp_path / "model", HARMLESS[case]))
    expected = load(folders / "llama")
    for (name, one), other in zip(found.named_parameters(), expected.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_a_head_that_is_the_embedding_may_be_left_out_but_not_both(folders, tmp_path):
    assert "lm_head.weight" not in load_file(folders / "tied" / WEIGHTS)
    model = load(folders / "tied")
    assert model.lm_head.weight is model.model.embed_tokens.weight
    neither = changed(folders / "tied", tmp_path / "model", without("model.embed_tokens.weight"))
    with pytest.raises(RequestError, match=r"lacks 2 of .*\(lm_head.weight, model.embed_tokens.weight\)"):
        load(neither)


def test_the_model_without_its_head_needs_no_head_but_all_else(folders, tmp_path):
    load(folders / "llama", AutoModel)
    load(changed(folders / "llama", tmp_path / "headless", without("lm_head.weight")), AutoModel)
    for number, case in enumerate(("saved by a wrapper", "a lost weight", "an adapter", "not a number")):
        change, config, _ = BROKEN[case]
        with pytest.raises(RequestError, match="cannot be loaded"):
            load(changed(folders / "llama", tmp_path / str(number), change, config), AutoModel)


def test_layers_that_predict_further_tokens_are_not_used(folders, tmp_path):
    further = added("model.layers.2.input_layernorm.weight", 32)
    load(changed(folders / "deepseek_v3", tmp_path / "one", further, {"num_nextn_predict_layers": 1}))
    with pytest.raises(RequestError, match=r"no place \(model.layers.2.input_layernorm.weight\)"):
        load(changed(folders / "deepseek_v3", tmp_path / "none", further, {"num_nextn_predict_layers": 0}))


def test_weights_that_half_precision_cannot_hold_are_refused_there(folders, tmp_path):
    large = changed(folders / "llama", tmp_path / "large", spoiled("lm_head.weight", 1e5))
    load(large)
    load(large, dtype=torch.bfloat16)
    with pytest.raises(RequestError, match=r"not finite \(lm_head.weight\)"):
        load(large, dtype=torch.float16)


def test_lost_and_cut_files_are_refused(folders, tmp_path):
    load(folders / "llama").save_pretrained(tmp_path / "whole", max_shard_size="20KB")
    load(tmp_path / "whole")
    shards = sorted((tmp_path / "whole").glob("model-*.safetensors"))
    for name in ("lost", "cut", "misnamed"):
        shutil.copytree(tmp_path / "whole", tmp_path / name)
    (tmp_path / "lost" / shards[1].name).unlink()
    (tmp_path / "cut" / shards[1].name).write_bytes(shards[1].read_bytes()[:-100])
    index = tmp_path / "misnamed" / "model.safetensors.index.json"
    index.write_text(index.read_text().replace(shards[1].name, shards[0].name))
    for name in ("lost", "cut", "misnamed"):
        with pytest.raises(RequestError, match="cannot be loaded"):
            load(tmp_path / name)


@pytest.mark.parametrize(
    "command",
    [
        ["eval", "--model", "{}", *SIZE],
        ["probe", "--model", "{}", *SIZE, "--copies", "2"],
        ["train", "--architecture", "hf/{}", *SIZE[:4], "--points", "4", "--steps", "1"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_refuses_such_a_model(folders, tmp_path, command):
    change, config, _ = BROKEN["saved by a wrapper"]
    broken = changed(folders / "llama", tmp_path / "model", change, config)
    done = run_inside(*(part.format(broken) for part in command), "--out", tmp_path / "out")
    assert done.returncode == 2, done.stderr
    assert "cannot be loaded: the checkpoint lacks" in done.stderr


def test_an_adapter_beside_weights_is_refused_by_name(folders, tmp_path):
    """transformers would load the weights without it."""
    folder = changed(folders / "llama", tmp_path / "model", same)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(RequestError, match=r"adapter_config.json is of an adapter; merge it"):
        source_of(find_model(f"hf/{folder}"))


def test_a_reader_of_texts_refuses_such_a_model(folders, tmp_path):
    change, config, message = BROKEN["no head"]
    broken = changed(folders / "llama", tmp_path / "model", change, config)
    with pytest.raises(RequestError, match=message):
        load_reader(find_model(f"hf/{broken}"), load_text_task("sst2"), "newline")


def gguf(path: Path, left_out=(), more=()) -> Path:
    """A llama as a GGUF file."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    from tests.backends.architectures.families import tiny_model

    model = tiny_model("llama")
    config, names = model.config, get_tensor_name_map(MODEL_ARCH.LLAMA, 2)
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(["t", "o", "to", *(f"token{i}" for i in range(3, config.vocab_size))])
    writer.add_token_merges(["t o"])
    writer.add_eos_token_id(0)
    for key, tensor in model.state_dict().items():
        name = f"{names.get_name(key.removesuffix('.weight'))}.weight"
        if name not in left_out:
            writer.add_tensor(name, tensor.numpy())
    for name in more:
        writer.add_tensor(name, np.ones(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_file_is_read_whole_or_refused(tmp_path):
    convert_gguf(gguf(tmp_path / "whole.gguf", more=["rope_freqs.weight"]), tmp_path / "converted")
    load(tmp_path / "converted")
    for name, file, message in (
        ("less", gguf(tmp_path / "less.gguf", left_out=["blk.1.ffn_down.weight"]), r"lacks 1 .*layers.1.mlp.down_proj"),
        ("bias", gguf(tmp_path / "bias.gguf", more=["blk.0.attn_q.bias"]), "weights in the file only"),
        ("layer", gguf(tmp_path / "layer.gguf", more=["blk.2.attn_norm.weight"]), "weights in the file only"),
    ):
        with pytest.raises(RequestError, match=message):
            convert_gguf(file, tmp_path / name)
        assert not (tmp_path / name).exists()
