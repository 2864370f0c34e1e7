"""The options of `identify`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llm_icl.config.options import option
from llm_icl.experiments.options import CallingOptions, FolderOptions
from llm_icl.tasks.options import DEFAULT_N, EXAMPLES, QUERIES

# Folds of the problems, and intervals over them, need this many.
LEAST_CONTEXTS = 10


@dataclass(frozen=True, kw_only=True)
class IdentifyOptions(CallingOptions, FolderOptions):
    """Subjects × tasks."""

    model: tuple[str, ...] = option((), shown="the embedded default, if there is no other subject")
    """Subjects: catalogue name, BACKEND/IDENTIFIER, folder, GGUF file or training run."""
    learner: tuple[str, ...] = option(())
    """Classical learners as subjects."""
    answers: tuple[Path, ...] = option((), exists="either")
    """Answers that were collected elsewhere, to a file of 'llm-icl sample --task probe:TASK'."""
    task: tuple[str, ...] = option((), shown="with --answers, those of the file")
    """Task whose problems are the contexts, with options after a colon."""
    n: tuple[int, ...] = option((DEFAULT_N,), minimum=1)
    """Number of input bits."""
    examples: tuple[int, ...] = option(EXAMPLES, minimum=1)
    """Numbers of in-context examples."""
    contexts: int = option(64, minimum=LEAST_CONTEXTS)
    """Problems, each with a context of every number of examples."""
    queries: int = option(QUERIES, minimum=1)
    """Queries behind each context."""
    candidate: tuple[str, ...] = option((), shown="all that apply to the task")
    """Algorithms to compare with: learners, with options after a colon."""
    prompt: str = option("basic")
    """Prompt template, for language models."""
    mode: Literal["auto", "curve", "echo", "positions", "top", "generate"] = option("auto")
    """Query mode: how label probabilities or answers are obtained."""
    repeats: int = option(1, minimum=1)
    """Repetitions of each call, for models with sampled answers: they tell its noise from what is unexplained."""
    seed: tuple[int, ...] = option((0,), minimum=0)
    """Seed of the problems."""
