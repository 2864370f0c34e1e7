"""The options of a comparison of attentions in language modelling."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import Options, option


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(Options):
    """Which attentions, on which text."""

    attention: tuple[str, ...] = option(("softmax,momentum,momentum-learned",))
    """What is compared with the first: softmax, momentum:eta=0.5, momentum-learned."""
    text: tuple[Path, ...] = option()
    """File to train on, or a folder of .txt files."""
    held_out: str = option()
    """File to validate on; or the part of a text from LINE..LINE."""
    vocabulary: int = option(1024, minimum=1)
    """Tokens, learned from the text."""
    layers: int = option(4, minimum=1)
    """Blocks."""
    width: int = option(128, minimum=1)
    """Residual stream width (d_model)."""
    heads: int = option(4, minimum=1)
    """Heads of a layer."""
    context: int = option(256, minimum=1)
    """Tokens of a training sequence."""
    lengths: tuple[int, ...] = option((), minimum=1, shown="a quarter, a half and all of --context")
    """Contexts to validate with."""
    steps: int = option(2000, minimum=1)
    """Training steps."""
    batch_size: int = option(4, minimum=1)
    """Sequences of a step."""
    rate: float = option(2e-3, above=0)
    """Peak learning rate of Adam."""
    evaluate_every: int = option(100, minimum=1)
    """Steps between evaluations."""
    seed: tuple[int, ...] = option((1, 2, 3), minimum=0)
    """Seeds of weights and batches."""
