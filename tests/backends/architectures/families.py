"""Every family of causal language models in transformers, made so small that it takes milliseconds.

A family is a key of transformers' mapping for `AutoModelForCausalLM`. Its configuration is the default one with the
sizes of `SIZES` where it has such a field, and what `TINY` adds.
"""

from typing import Any

import torch

VOCABULARY = 384
_MOST = 2_000_000  # parameters
# Prompts are shorter than the window at the first positions, and longer at the last ones.
WINDOW = 64

_MLA = {"num_key_value_heads": 4}
_WINDOWS = {"layer_types": ["sliding_attention", "full_attention"]}
_HYBRID = {"layer_types": ["linear_attention", "full_attention"]}
_MAMBA_2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 32}
_VISION = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 32,
           "image_size": 28, "patch_size": 14}  # fmt: skip
_INKLING_2 = {"layer_types": ["hybrid_sliding", "hybrid"], "unpadded_vocab_size": VOCABULARY, "rel_extent": 64,
              "swa_num_attention_heads": 4, "swa_num_key_value_heads": 2, "swa_head_dim": 8}  # fmt: skip
_PER_LAYER = {"vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8, "global_head_dim": 8}
_DECODER = {"is_decoder": True}

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY, "max_position_embeddings": 512, "n_positions": 512, "sliding_window": WINDOW,
    "hidden_size": 32, "d_model": 32, "n_embd": 32, "embedding_size": 32, "word_embed_proj_dim": 32,
    "num_hidden_layers": 2, "n_layer": 2, "decoder_layers": 2, "encoder_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "n_head": 4, "decoder_attention_heads": 4,
    "encoder_attention_heads": 4, "head_dim": 8,
    "intermediate_size": 64, "ffn_dim": 64, "decoder_ffn_dim": 64, "encoder_ffn_dim": 64, "moe_intermediate_size": 16,
    "num_experts": 4, "n_routed_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "linear_num_heads": 4, "linear_head_dim": 8, "index_n_heads": 16, "index_head_dim": 16, "index_topk": 32,
    "n_group": 1, "topk_group": 1, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0,
}  # fmt: skip

# What a family needs beside these sizes; a name after a colon is a variant. Families that need nothing are not listed.
TINY: dict[str, dict[str, Any]] = {
    # Attention with compressed keys and values.
    "axk1": _MLA, "axk2": _MLA, "deepseek_v2": _MLA, "deepseek_v3": _MLA, "deepseek_v32": _MLA, "dots3_note_text": _MLA,
    "glm4_moe_lite": _MLA, "glm_moe_dsa": _MLA, "longcat_flash": _MLA, "sarvam_mla": _MLA, "youtu": _MLA,
    "minicpm3": _MLA | {"dim_model_base": 32, "scale_emb": 1},
    # Recurrent layers, and those among attention.
    "bailing_hybrid": _MLA | _HYBRID, "kimi_linear": _MLA | _HYBRID, "qwen3_5_text": _HYBRID, "qwen3_next": _HYBRID,
    "qwen4_exp_text": {"layer_types": ["linear_attention", "indexed_attention"], "indexer_compress_ratio": 4,
                       "indexer_n_heads": 16, "indexer_kv_heads": 1, "indexer_head_dim": 16, "indexer_budget": 32},
    "qwen3_5_moe_text": _HYBRID, "minimax": _HYBRID, "olmo_hybrid": _HYBRID, "granitemoehybrid": _MAMBA_2 | _HYBRID,
    "bamba": _MAMBA_2 | {"attn_layer_indices": [1]},
    "falcon_h1": _MAMBA_2 | {"mamba_d_ssm": 64},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4, "mamba_d_state": 8},
    "lara_mini": _HYBRID,
    "lfm2": {"layer_types": ["conv", "full_attention"]}, "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "lfm3": {"layer_types": ["conv", "full_attention", "sliding_attention"], "num_hidden_layers": 3},
    "mamba2": {"num_heads": 8, "n_groups": 1, "state_size": 8, "chunk_size": 32},
    "nemotron_h": {"mamba_num_heads": 8, "mamba_head_dim": 8, "ssm_state_size": 8, "n_groups": 1, "chunk_size": 32},
    "recurrent_gemma": {"num_hidden_layers": 3, "attention_window_size": WINDOW},
    "zamba": {"num_hidden_layers": 4, "attn_layer_period": 2, "attn_layer_offset": 0, "mamba_d_state": 8},
    "zamba2": {"layers_block_type": ["linear_attention", "hybrid"], "n_mamba_heads": 8, "mamba_d_state": 8,
               "chunk_size": 32},
    "zaya": {"num_experts_per_tok": 1},
    "xlstm": {"v_head_dim": None, "num_heads": 4, "hidden_size": 128},
    # Windows, alternating with full attention where the configuration gives all layers a window.
    "afmoe": _WINDOWS, "beam": _WINDOWS, "cohere2": _WINDOWS, "cohere2_moe": _WINDOWS, "cwm": _WINDOWS,
    "exaone4": _WINDOWS, "exaone_moe": _WINDOWS, "flint": _WINDOWS, "gemma3_text": _WINDOWS, "gpt_oss": _WINDOWS,
    "granite_swa": _WINDOWS, "granitemoe_swa": _WINDOWS, "kolibri1": _WINDOWS, "laguna": _WINDOWS, "mellum": _WINDOWS,
    "mimo_v2_flash": _WINDOWS, "modernbert-decoder": _WINDOWS, "olmo3": _WINDOWS, "vaultgemma": _WINDOWS,
    "cohere_compass_text": _WINDOWS | {"rope_parameters": {
        kind: {"rope_type": "default", "rope_theta": 1e4} for kind in ("sliding_attention", "full_attention")}},
    "gemma4_text": _PER_LAYER, "gemma4_unified_text": {"global_head_dim": 8},
    "dory": _WINDOWS | {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2,
                        "n_input_layers": 1, "n_output_layers": 1},
    "gemma3n_text": {"num_hidden_layers": 4, "layer_types": ["sliding_attention", "full_attention"] * 2,
                     "num_kv_shared_layers": 2, "vocab_size_per_layer_input": VOCABULARY,
                     "hidden_size_per_layer_input": 8, "laurel_rank": 8},
    "gpt_neo": {"num_layers": 2, "attention_types": [[["global", "local"], 1]], "window_size": WINDOW},
    "llama4_text": {"layer_types": ["chunked_attention", "full_attention"], "attention_chunk_size": WINDOW},
    "qwen2: sliding window": {"use_sliding_window": True, "max_window_layers": 1},
    "inkling_text": {"layer_types": ["hybrid_sliding", "hybrid"]},
    "inkling2_text": _INKLING_2, "inkling2_loop_text": _INKLING_2,
    # Positions.
    "codegen": {"rotary_dim": 8}, "gptj": {"rotary_dim": 8}, "falcon": {"head_dim": None},
    "falcon: ALiBi": {"head_dim": None, "alibi": True},
    "llama: YaRN": {"rope_parameters": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0,
                                        "original_max_position_embeddings": 128}},
    "phi3: LongRoPE": {"original_max_position_embeddings": WINDOW, "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 1e4, "original_max_position_embeddings": WINDOW,
        "short_factor": [1.0] * 4, "long_factor": [4.0] * 4}},
    # Encoders, whose attention looks at later tokens unless they are made decoders.
    **{f"{name}: decoder": _DECODER for name in (
        "bert", "bert-generation", "big_bird", "camembert", "data2vec-text", "electra", "ernie", "megatron-bert",
        "rembert", "roberta", "roberta-prelayernorm", "roformer", "xlm-roberta", "xlm-roberta-xl")},
    "roc_bert: decoder": _DECODER | {"shape_vocab_size": 8}, "roc_bert": {"shape_vocab_size": 8},
    "xmod: decoder": _DECODER | {"default_language": "en_XX"}, "xmod": {"default_language": "en_XX"},
    "reformer": _DECODER | {"attn_layers": ["local", "local"], "axial_pos_embds_dim": [8, 24],
                            "axial_pos_shape": [16, 32]},
    "reformer: hashed": _DECODER | {"axial_pos_embds_dim": [8, 24], "axial_pos_shape": [16, 32]},
    "xlnet": {"max_position_embeddings": None}, "xlnet: uni": {"max_position_embeddings": None, "attn_type": "uni"},
    "xlm: causal": {"causal": True},
    "prophetnet": {"num_hidden_layers": None, "num_encoder_layers": 2, "num_decoder_layers": 2,
                   "num_decoder_attention_heads": 4},
    # Those that read images too, asked about texts.
    "fuyu": {"text_config": "persimmon"}, "llama4": {"text_config": "llama4_text"},
    "gemma3": {"text_config": "gemma3_text", "vision_config": _VISION | {"model_type": "siglip_vision_model"},
               "mm_tokens_per_image": 4},
    "gemma4": {"text_config": "gemma4_text", "vision_config": _VISION},
    "got_ocr2": {"text_config": "qwen2", "vision_config": _VISION | {"output_channels": 32}},
    "qwen3_5": {"text_config": "qwen3_5_text"}, "qwen3_5_moe": {"text_config": "qwen3_5_moe_text"},
    "qwen4_exp": {"text_config": "qwen4_exp_text"},
    # Sizes with other names.
    "ctrl": {"dff": 64}, "cpmant": {"dim_ff": 64, "dim_head": 8},
    "dbrx": {"n_heads": 4, "n_layers": 2, "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
             "ffn_config": {"ffn_hidden_size": 64}},
    "dots1": {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1},
    "qwen2_moe": {"shared_expert_intermediate_size": 16},
}  # fmt: skip
# Families that are not causal unless their configuration says so.
REFUSED = {
    "bert", "bert-generation", "big_bird", "camembert", "cpmant", "data2vec-text", "electra", "ernie", "megatron-bert",
    "prophetnet", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer", "xlm", "xlm-roberta",
    "xlm-roberta-xl", "xlnet", "xmod",
}  # fmt: skip
# Those that are random in sequences that are longer than what is tried.
RANDOM = {"reformer: hashed"}
# Those whose shorter prompts are not the beginning of longer ones.
NO_CURVE = {"phi3: LongRoPE"}
# Families that are not asked about a label after a text.
UNFIT = {
    "blt": "reads bytes in patches that a second model makes",
    "dots3_note": "reads images and sound; its language model is dots3_note_text",
    "emu3": "transformers cannot load what it saves of it",
    "gemma3n": "reads images and sound; its language model is gemma3n_text",
    "gemma4_assistant": "drafts tokens for another model",
    "gemma4_unified": "reads images and sound; its language model is gemma4_unified_text",
    "gemma4_unified_assistant": "drafts tokens for another model",
    "git": "describes images",
    "mllama": "transformers cannot load what it saves of it",
    "moss_transcribe_diarize": "writes down speech",
    "musicgen": "writes music",
    "musicgen_melody": "writes music",
    "phi4_multimodal": "reads images and sound; its language model is phi3",
}


def candidates() -> list[str]:
    """Every family of the installed version, and the variants of those that it has, but for the unfit."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    names = dict.fromkeys([*MODEL_FOR_CAUSAL_LM_MAPPING_NAMES, *TINY])
    families = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys() - UNFIT.keys()
    return sorted(name for name in names if name.partition(":")[0] in families)


def tiny_config(name: str) -> Any:
    """The configuration. Raises whatever a configuration raises that cannot be made so small."""
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    kind = CONFIG_MAPPING[name.partition(":")[0]]
    usual = kind()
    sizes = {key: value for key, value in SIZES.items() if _has(usual, key)} | TINY.get(name, {})
    if "text_config" in sizes:
        sizes["text_config"] = tiny_config(sizes["text_config"]).to_dict()
    return kind(**{key: value for key, value in sizes.items() if value is not None})


def tiny_model(name: str) -> Any:
    """A model with random weights; larger than a fresh model's, so that its probabilities depend on the context.

    Raises ValueError for one that is not small.
    """
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        size = AutoModelForCausalLM.from_config(tiny_config(name)).num_parameters()
    if size > _MOST:
        raise ValueError(f"{name} has {size:,} parameters")
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny_config(name), dtype=torch.float32).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.add_(torch.randn_like(parameter) / parameter.shape[-1] ** 0.5)
    return model


def _has(config: Any, key: str) -> bool:
    try:
        return hasattr(config, key)
    except Exception:  # a field that may differ between layers
        return True
