"""llm-icl: which learning algorithm does a model run in context, and how far is it from the best possible one?"""

__version__ = "0.1.0"
