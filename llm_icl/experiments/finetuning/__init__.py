"""In-context learning against finetuning on the same demonstrations."""

from llm_icl.experiments.finetuning import experiment  # registers itself

__all__ = ["experiment"]
