"""Options for drawing problems."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import Options, option

# At this n most classes are learnable and exact Bayes is fast.
DEFAULT_N = 5
# A task with this prefix is the probes of the task: queries that tell learning algorithms apart.
PREFIX = "probe:"
# Numbers of in-context examples, and queries behind each context.
EXAMPLES = (5, 10, 20)
QUERIES = 8


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


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(DrawingOptions):
    """Problems of one task, or its probes."""

    task: str = option()
    """Task, with options after a colon; or probe:TASK, for queries that tell learning algorithms apart."""
    examples: tuple[int, ...] = option((), minimum=1, shown="5,10,20")
    """Of probes: numbers of in-context examples."""
    queries: int | None = option(None, minimum=1, shown="8")
    """Of probes: queries behind each context."""
    candidate: tuple[str, ...] = option((), shown="all that apply to the task")
    """Of probes: the algorithms to tell apart."""
    prompts: bool = option(False)
    """Write the prompt for every position, to be asked elsewhere and brought back with import."""
    positions: str = option("all")
    """Of prompts: numbers of in-context examples, or 'all'."""
    prompt: str = option("basic")
    """Of prompts and probes: the prompt template that each is written with."""
    prompts_dir: Path | None = option(None, shown="./prompts", exists="folder")
    """Folder of your own prompt templates."""
