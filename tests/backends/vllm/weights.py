"""The embedded model's weights as a folder that vLLM reads."""

from pathlib import Path

from llm_icl.backends import find_model
from llm_icl.backends.embedded import embedded_weights


def folder() -> Path:
    return embedded_weights(find_model("smollm2-135m"))
