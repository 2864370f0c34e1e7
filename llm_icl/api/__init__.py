"""The Python API: the same experiments, options and reports as the command line's."""

from llm_icl.api.functions import draw, evaluate, finetune_vs_icl, identify, load, probe, report, train
from llm_icl.api.results import Result

__all__ = ["Result", "draw", "evaluate", "finetune_vs_icl", "identify", "load", "probe", "report", "train"]
