"""Classes of Boolean functions with their distributions. One file per family."""

from llm_icl.function_classes.base import (
    FunctionClass,
    Hypotheses,
    TeachingSequence,
    function_class_of,
    function_classes,
)

__all__ = ["FunctionClass", "Hypotheses", "TeachingSequence", "function_class_of", "function_classes"]
