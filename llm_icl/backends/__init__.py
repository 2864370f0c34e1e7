"""From text to label log-probabilities or an answer. One file a backend; the catalogue gives names to models."""

from llm_icl.backends.base import LabelScores, LanguageModel, ModelEntry, Reply, backends
from llm_icl.backends.catalogue import find_model, model_names

__all__ = ["LabelScores", "LanguageModel", "ModelEntry", "Reply", "backends", "find_model", "model_names"]
