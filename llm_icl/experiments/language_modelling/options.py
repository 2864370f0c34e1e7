"""The options of a comparison of attentions in language modelling."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import Options, option


@dataclass(frozen=True, kw_only=True)
class LanguageOptions(Options):
    """Options of `train-lm`."""

    attention: tuple[str, ...] = option(("softmax,momentum,momentum-learned",))
    """Attentions; the first is the baseline: softmax, momentum:eta=0.5, momentum-learned."""
    text: tuple[Path, ...] = option(exists="either")
    """Training text: a file, or a folder of .txt files."""
    held_out: str = option()
    """Held-out text: a file, or a part LINE..LINE of the training text."""
    vocabulary: int = option(1024, minimum=1, maximum=1_000_000)
    """Vocabulary size of the tokenizer trained on the text."""
    layers: int = option(4, minimum=1, maximum=1_000)
    """Number of layers."""
    width: int = option(128, minimum=1, maximum=100_000)
    """Residual stream width (d_model)."""
    heads: int = option(4, minimum=1)
    """Attention heads per layer."""
    context: int = option(256, minimum=1, maximum=1_000_000)
    """Context length in training, in tokens."""
    lengths: tuple[int, ...] = option((), minimum=1, shown="a quarter, a half and all of --context")
    """Context lengths to evaluate at, in tokens."""
    steps: int = option(2000, minimum=1, maximum=10**9)
    """Training steps."""
    batch_size: int = option(4, minimum=1, maximum=1_000_000)
    """Batch size in sequences."""
    rate: float = option(2e-3, above=0)
    """Peak learning rate of Adam."""
    evaluate_every: int = option(100, minimum=1)
    """Steps between evaluations."""
    seed: tuple[int, ...] = option((1, 2, 3), minimum=0)
    """Seeds of initial weights and batches."""
