"""Options that several kinds of experiments share."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.config.options import Options, option


@dataclass(frozen=True, kw_only=True)
class FolderOptions(Options):
    """Where the user's own cards and templates are."""

    tasks_dir: Path | None = option(None, shown="./tasks")
    """Folder of your own task cards."""
    prompts_dir: Path | None = option(None, shown="./prompts")
    """Folder of your own prompt templates."""

    @classmethod
    def missing(cls, name: str, values: Mapping[str, Any]) -> str:
        if name != "task":
            return super().missing(name, values)
        from llm_icl.tasks.cards import task_names

        folder = values.get("tasks_dir")
        return f"--task is missing: known are {', '.join(task_names(Path(folder) if folder else None))}"


@dataclass(frozen=True, kw_only=True)
class CallingOptions(Options):
    """How models are reached, and what that may cost."""

    base_url: str = option("")
    """Server that is asked instead of the provider's."""
    concurrency: str = option("auto")
    """Requests in flight at a time, or 'auto'."""
    max_cost: float | None = option(None, minimum=0)
    """Stop before spending exceeds this many US dollars."""
    max_calls: int | None = option(None, minimum=1)
    """Stop before this many calls are exceeded."""
    batch: bool = option(False)
    """Use the provider's batch interface: half the price, within a day."""
    catalogue: Path | None = option(None, shown="./models.yaml")
    """File of your own models."""
