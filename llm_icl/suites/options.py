"""The options of a suite's run; what its experiments are asked stands in its card."""

from dataclasses import dataclass
from typing import Literal

from llm_icl.config.options import option
from llm_icl.experiments.options import CallingOptions, FolderOptions


@dataclass(frozen=True, kw_only=True)
class SuiteOptions(CallingOptions, FolderOptions):
    """How a suite is run."""

    model: tuple[str, ...] = option(())
    """Models instead of those that the suite names."""
    at_once: int | None = option(None, minimum=1, shown="one a GPU, or one a core")
    """Networks trained at a time."""
    on: Literal["here", "ray"] = option("here")
    """Train here, or on a Ray cluster."""
    cpus_per_run: float = option(1.0, minimum=0)
    """Cores for each network, on Ray."""
    gpus_per_run: float = option(0.0, minimum=0)
    """GPUs for each network, on Ray."""
