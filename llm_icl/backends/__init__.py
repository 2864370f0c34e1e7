"""From text to label log-probabilities or an answer. One file a backend; the catalogue gives names to models."""

from llm_icl.backends.base import LanguageModel, ModelEntry, backends
from llm_icl.backends.catalogue import find_model, model_names
from llm_icl.backends.exchange import LabelScores, Reply

__all__ = ["LabelScores", "LanguageModel", "ModelEntry", "Reply", "backends", "find_model", "model_names"]
