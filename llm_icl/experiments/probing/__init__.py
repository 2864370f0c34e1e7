"""What attention heads do."""

from llm_icl.experiments.probing import experiment  # registers itself

__all__ = ["experiment"]
