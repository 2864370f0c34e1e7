"""Sets of Boolean functions, and the laws that functions and inputs are drawn from. One file a family."""

from llm_icl.function_classes.base import (
    FunctionClass,
    Hypotheses,
    TeachingSequence,
    function_class_of,
    function_classes,
)

__all__ = ["FunctionClass", "Hypotheses", "TeachingSequence", "function_class_of", "function_classes"]
