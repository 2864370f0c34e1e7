"""Options for drawing problems."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import Options, option

# At this n most classes are learnable and exact Bayes is fast.
DEFAULT_N = 5


@dataclass(frozen=True, kw_only=True)
class DrawingOptions(Options):
    """Problems of one task."""

    task: str = option()
    """Task, with options after a colon."""
    n: int = option(DEFAULT_N, minimum=1)
    """Number of input bits."""
    points: int = option(50, minimum=1, maximum=10_000)
    """Points per problem."""
    problems: int = option(100, minimum=1, maximum=2**32)
    """Problems."""
    seed: int = option(0, minimum=0)
    """Seed of the problems."""
    tasks_dir: Path | None = option(None, shown="./tasks", exists="folder")
    """Folder of your own task cards."""
