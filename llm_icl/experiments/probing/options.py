"""The options of a probe."""

from dataclasses import dataclass

from llm_icl.config.options import option
from llm_icl.experiments.options import FolderOptions


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(FolderOptions):
    """Whose heads, over which problems."""

    model: tuple[str, ...] = option()
    """Training run, or a language model that runs in this process."""
    task: str = option("nearest-neighbour")
    """Task that the labels come from."""
    n: int | None = option(None, minimum=1, shown="what a network was trained for, else 5")
    """Bits of an input."""
    points: int | None = option(None, minimum=4, shown="40, or what a network holds")
    """Points of a problem."""
    problems: int = option(50, minimum=2)
    """Problems."""
    copies: int = option(4, minimum=2)
    """Copies of each point in the induction sequence."""
    prompt: str = option("basic")
    """Prompt template, for language models."""
    seed: int = option(0, minimum=0)
    """Seed of the problems."""
