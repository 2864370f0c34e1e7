"""The lengths of sequences at which a model of transformers changes or ends."""

from typing import Any


def context_length(model: Any) -> int | None:
    """The maximum number of tokens of a sequence; None if the configuration does not state it."""
    config = model.config.get_text_config()
    names = ("max_position_embeddings", "max_target_positions", "max_seq_len")
    stated = [getattr(config, name, None) for name in names]
    # RoBERTa's kind counts positions from the padding token's number on, within the same table.
    tables = [
        table.num_embeddings - table.padding_idx - 1
        for name, table in model.named_modules()
        if name.endswith("position_embeddings") and getattr(table, "padding_idx", None) is not None
    ]
    return min((length for length in (*stated, *tables) if length and length > 0), default=None)


def turning_length(model: Any) -> int | None:
    """The number of tokens above which all positions of a sequence are encoded differently; None if there is none.

    LongRoPE (Ding et al. 2024) has one set of frequencies for sequences within the original context and one for longer
    ones.
    """
    found = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    ropes = [found, *(one for one in found.values() if isinstance(one, dict))]  # of all layers, or of each type
    turns = [rope["original_max_position_embeddings"] for rope in ropes if rope.get("rope_type") == "longrope"]
    return min(turns, default=None)
