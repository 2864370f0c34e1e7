"""The options of an evaluation."""

from dataclasses import dataclass
from typing import Literal

from llm_icl.config.options import option
from llm_icl.experiments.options import CallingOptions, FolderOptions
from llm_icl.tasks.options import DEFAULT_N


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions(CallingOptions, FolderOptions):
    """Learners × tasks."""

    model: tuple[str, ...] = option((), shown="the embedded default")
    """Catalogue name, BACKEND/IDENTIFIER, folder, GGUF file or training run; 'none' for classical learners only."""
    task: tuple[str, ...] = option()
    """Task, with options after a colon (conjunction:noise=0.1), or 'expr: x1 & ~x3'."""
    n: tuple[int, ...] = option((DEFAULT_N,), minimum=1)
    """Number of input bits."""
    points: int = option(50, minimum=1, maximum=10_000)
    """Points per problem, including the last query."""
    problems: int = option(100, minimum=1, maximum=2**32)
    """Problems per task."""
    positions: str = option("all")
    """Numbers of in-context examples to evaluate at, or 'all'."""
    prompt: tuple[str, ...] = option(("basic",))
    """Prompt template, for language models."""
    learner: tuple[str, ...] = option((), shown="the defaults for the task")
    """Classical learner."""
    mode: Literal["auto", "curve", "echo", "positions", "top", "generate"] = option("auto")
    """Query mode: how label probabilities or answers are obtained."""
    shuffled_labels: bool = option(True)
    """Also evaluate models with shuffled labels, as a control."""
    seed: tuple[int, ...] = option((0,), minimum=0)
    """Seed of the problems."""
    repeats: int = option(1, minimum=1, maximum=10_000)
    """Repetitions of each call, for models with sampled answers."""
