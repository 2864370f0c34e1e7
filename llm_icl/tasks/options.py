"""Options for drawing problems."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import Options, option
from llm_icl.config.specs import whole_numbers
from llm_icl.errors import RequestError

# At this n most classes are learnable and exact Bayes is fast.
DEFAULT_N = 5
# A task with this prefix is the probes of the task: queries that tell learning algorithms apart.
PREFIX = "probe:"
# Numbers of in-context examples, and queries behind each context.
EXAMPLES = (5, 10, 20)
QUERIES = 8


@dataclass(frozen=True, kw_only=True)
class _ProblemOptions(Options):
    """How many problems, and which."""

    points: int = option(50, minimum=1, maximum=10_000)
    """Points per problem."""
    problems: int = option(100, minimum=1, maximum=2**32)
    """Problems."""
    seed: int = option(0, minimum=0)
    """Seed of the problems."""
    tasks_dir: Path | None = option(None, shown="./tasks", exists="folder")
    """Folder of your own task cards."""


@dataclass(frozen=True, kw_only=True)
class DrawingOptions(_ProblemOptions):
    """Problems of one task."""

    task: str = option()
    """Task, with options after a colon."""
    n: int = option(DEFAULT_N, minimum=1)
    """Number of input bits."""


@dataclass(frozen=True, kw_only=True)
class QueryOptions(_ProblemOptions):
    """Prompts of the problems of tasks."""

    task: tuple[str, ...] = option()
    """Task, with options after a colon."""
    n: tuple[int, ...] = option((DEFAULT_N,), minimum=1)
    """Number of input bits."""
    positions: str = option("all")
    """Of prompts: numbers of in-context examples, or 'all'."""
    prompt: str = option("basic")
    """Of prompts and probes: the prompt template that each is written with."""
    prompts_dir: Path | None = option(None, shown="./prompts", exists="folder")
    """Folder of your own prompt templates."""


@dataclass(frozen=True, kw_only=True)
class SamplingOptions(QueryOptions):
    """Problems of tasks, their prompts, or the probes of one."""

    task: tuple[str, ...] = option()
    """Task, with options after a colon; or probe:TASK, for queries that tell learning algorithms apart."""
    examples: tuple[int, ...] = option((), minimum=1, shown="5,10,20")
    """Of probes: numbers of in-context examples."""
    queries: int | None = option(None, minimum=1, shown="8")
    """Of probes: queries behind each context."""
    candidate: tuple[str, ...] = option((), shown="all that apply to the task")
    """Of probes: the algorithms to tell apart."""
    prompts: bool = option(False)
    """Write the prompt for every position, to be asked elsewhere and brought back with import."""


def read_positions(text: str, points: int) -> tuple[int, ...]:
    """`all`, or a comma list of numbers of examples before the query."""
    if text == "all":
        return tuple(range(points))
    positions = tuple(sorted(whole_numbers("--positions", [text], 0)))
    if positions[-1] >= points:
        raise RequestError(
            f"--positions {positions[-1]} is out of range: with --points {points} the maximum is {points - 1}"
        )
    return positions
