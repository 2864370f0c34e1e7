"""Options for drawing probes."""

from dataclasses import dataclass
from pathlib import Path

from llm_icl.config.options import option
from llm_icl.tasks.options import DrawingOptions


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
    prompt: str = option("basic")
    """Of probes: the prompt template that each is written with."""
    prompts_dir: Path | None = option(None, shown="./prompts", exists="folder")
    """Folder of your own prompt templates."""
