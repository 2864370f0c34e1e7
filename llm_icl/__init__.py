"""llm-icl: which learning algorithm does a model run in context, and how far is it from the best possible one?

The Python API, imported when it is used:

    import llm_icl

    result = llm_icl.evaluate(model="none", task="majority", n=5, points=20, problems=50)
    result.predictions   # a polars frame: one row for each learner, problem and position
    result.scores        # the tables of the report, with intervals
    result.report        # displayed in a notebook
"""

# The module typing alone would take as long as all the rest; type checkers take this name for true.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from llm_icl.api import Result, draw, evaluate, finetune_vs_icl, identify, load, probe, report, train

__version__ = "0.1.0"
__all__ = ["Result", "draw", "evaluate", "finetune_vs_icl", "identify", "load", "probe", "report", "train"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'llm_icl' has no attribute '{name}'")
    from llm_icl import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
