"""The options of suite runs; options of its experiments are in its card."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llm_icl.config.options import option
from llm_icl.experiments.options import CallingOptions, FolderOptions


@dataclass(frozen=True, kw_only=True)
class SuiteOptions(CallingOptions, FolderOptions):
    """Options of `run`."""

    model: tuple[str, ...] = option(())
    """Models to use instead of the suite's."""
    scale: str = option("laptop")
    """The scale of the suite: laptop, or another that its card has, such as paper."""
    data_dir: Path | None = option(None, shown="the hub", exists="folder")
    """Folder with the texts of a finetune-vs-icl suite: NAME/SPLIT.jsonl, .csv, .tsv or .parquet."""
    at_once: int | None = option(None, minimum=1, shown="one per GPU, or one per core")
    """Networks to train concurrently."""
    on: Literal["here", "ray"] = option("here")
    """Train on this machine, or on a Ray cluster."""
    cpus_per_run: float = option(1.0, minimum=0)
    """Cores per network, on Ray."""
    gpus_per_run: float = option(0.0, minimum=0)
    """GPUs per network, on Ray."""
