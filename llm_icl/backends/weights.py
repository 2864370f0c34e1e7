"""Locates the weights of a model for transformers: on the hub, in a folder, in a GGUF file, or embedded."""

import os
from pathlib import Path
from typing import Any

from llm_icl.backends.base import ModelEntry
from llm_icl.backends.embedded import embedded_weights
from llm_icl.backends.hub import from_hub
from llm_icl.errors import RequestError


def source_of(entry: ModelEntry) -> tuple[str, dict[str, Any]]:
    """The arguments of `from_pretrained`. Raises RequestError for an invalid GGUF file, or where the hub is needed and
    cannot be reached.
    """
    if entry.weights:
        return str(embedded_weights(entry)), {}
    import local_models.momentum_gpt  # noqa: F401  (registers a model type with transformers)

    path = Path(entry.identifier).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise RequestError(f"model '{entry.name}': file not found: {path}")
        with path.open("rb") as stream:
            if stream.read(4) != b"GGUF":
                raise RequestError(f"model '{entry.name}': {path} is not a GGUF file")
        return str(path.parent), {"gguf_file": path.name}
    if os.path.isdir(path):  # a name too long for a path is not a folder
        if (adapter := path / "adapter_config.json").is_file():  # transformers would leave it out without a word
            raise RequestError(
                f"model '{entry.name}' cannot be loaded: {adapter} is of an adapter; merge it into the weights of its "
                "model first (peft: merge_and_unload)"
            )
        return str(path), {}
    revision = dict(entry.options).get("revision")
    try:
        return entry.identifier, from_hub(entry.identifier, None if revision is None else str(revision))
    except (OSError, ValueError) as problem:
        raise RequestError(f"model '{entry.name}' cannot be loaded: {problem}") from None
