"""Which problems are drawn, as a command line or Python says it."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import Options, option

# A dimension at which most classes can be learned and exact Bayes is quick.
DEFAULT_N = 5


@dataclass(frozen=True, kw_only=True)
class DrawingOptions(Options):
    """Problems of one task."""

    task: str = option()
    """Task, with options after a colon."""
    n: int = option(DEFAULT_N, minimum=1)
    """Bits of an input."""
    points: int = option(50, minimum=1)
    """Points of a problem."""
    problems: int = option(100, minimum=1)
    """Problems."""
    seed: int = option(0, minimum=0)
    """Seed of the problems."""
    tasks_dir: Path | None = option(None, shown="./tasks")
    """Folder of your own task cards."""
