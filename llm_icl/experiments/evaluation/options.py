"""The options of an evaluation, as a command line, a suite or Python gives them."""

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
    """Task, with options after a colon: conjunction:noise=0.1; or 'expr: x1 & ~x3'."""
    n: tuple[int, ...] = option((DEFAULT_N,), minimum=1)
    """Bits of an input."""
    points: int = option(50, minimum=1)
    """Points of a problem, the last query included."""
    problems: int = option(100, minimum=1)
    """Problems of each task."""
    positions: str = option("all")
    """Numbers of examples before the query, or 'all'."""
    prompt: tuple[str, ...] = option(("basic",))
    """Prompt template, for language models."""
    learner: tuple[str, ...] = option((), shown="those that suit the task")
    """Classical learner."""
    mode: Literal["auto", "curve", "echo", "positions", "top", "generate"] = option("auto")
    """How models are asked."""
    shuffled_labels: bool = option(True)
    """Also ask models with shuffled labels, as a control."""
    seed: tuple[int, ...] = option((0,), minimum=0)
    """Seed of the problems."""
    repeats: int = option(1, minimum=1)
    """How often each question is asked, of models that write sampled answers."""
