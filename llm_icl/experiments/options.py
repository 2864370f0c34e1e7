"""Options that several kinds of experiments share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.config.options import Options, option


@dataclass(frozen=True, kw_only=True)
class TaskOptions(Options):
    """The folder of user-defined cards."""

    tasks_dir: Path | None = option(None, shown="./tasks", exists="folder")
    """Folder of your own task cards."""

    @classmethod
    def missing(cls, name: str, values: Mapping[str, Any]) -> str:
        if name != "task":
            return super().missing(name, values)
        from llm_icl.tasks.cards import task_names

        folder = values.get("tasks_dir")
        names = task_names(Path(folder) if isinstance(folder, str | Path) else None)
        return f"--task is missing: known are {', '.join(names)}"


@dataclass(frozen=True, kw_only=True)
class FolderOptions(TaskOptions):
    """Folders of user-defined cards and templates."""

    prompts_dir: Path | None = option(None, shown="./prompts", exists="folder")
    """Folder of your own prompt templates."""


@dataclass(frozen=True, kw_only=True)
class CallingOptions(Options):
    """Connections to models, and spending limits."""

    base_url: str | None = option(None)
    """URL of an OpenAI-compatible server to use instead of the provider's."""
    concurrency: str = option("auto")
    """Maximum concurrent requests, or 'auto'."""
    max_cost: float | None = option(None, minimum=0)
    """Stop before spending exceeds this many US dollars."""
    max_calls: int | None = option(None, minimum=1)
    """Stop before exceeding this many calls."""
    batch: bool = option(False)
    """Use the provider's batch API: half the price, results within 24 hours."""
    catalogue: Path | None = option(None, shown="./models.yaml", exists="file")
    """File with your own models."""
