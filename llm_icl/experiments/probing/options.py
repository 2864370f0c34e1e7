"""The options of a probe."""

from dataclasses import dataclass

from llm_icl.config.options import option
from llm_icl.experiments.options import FolderOptions


@dataclass(frozen=True, kw_only=True)
class ProbeOptions(FolderOptions):
    """Options of `probe`."""

    model: tuple[str, ...] = option()
    """Training run, or a local language model."""
    task: str = option("nearest-neighbour")
    """Task that labels the points."""
    n: int | None = option(None, minimum=1, shown="as in the network's training, else 5")
    """Number of input bits."""
    points: int | None = option(None, minimum=4, maximum=10_000, shown="40, or the network's maximum")
    """Points per problem."""
    problems: int = option(50, minimum=2, maximum=2**32)
    """Problems."""
    copies: int = option(4, minimum=2, maximum=10_000)
    """Copies of each point in the induction sequence."""
    prompt: str = option("basic")
    """Prompt template, for language models."""
    seed: int = option(0, minimum=0)
    """Seed of the problems."""
