"""Resolves model names: language models, and trained networks."""

from collections.abc import Sequence
from pathlib import Path

from llm_icl.backends import ModelEntry, find_model
from llm_icl.backends.catalogue import DEFAULT_MODEL
from llm_icl.errors import RequestError
from llm_icl.networks.trained import TrainedNetwork, find_trained


def named_models(
    texts: Sequence[str], base_url: str | None = None, catalogue: Path | None = None
) -> tuple[tuple[ModelEntry, ...], tuple[TrainedNetwork, ...]]:
    """The language models and the networks of training runs with these names; the embedded default if none.

    Raises RequestError for an unknown name, or an empty address, which would ask the provider that is paid.
    """
    if base_url is not None and not base_url.strip():
        raise RequestError("--base-url is empty: give the server's URL, such as http://localhost:8000/v1")
    names = list(dict.fromkeys(name for text in texts or (DEFAULT_MODEL,) for name in split_models(text)))
    if "none" in names:
        if len(names) > 1:
            raise RequestError("--model none cannot be combined with other models")
        return (), ()
    trained = {name: network for name in names if (network := find_trained(name))}
    entries = tuple(find_model(name, base_url or "", catalogue) for name in names if name not in trained)
    return entries, tuple(trained.values())


def split_models(text: str) -> list[str]:
    """A comma list of models; a comma before a further option (`NAME:dtype=float32,chat=true`) does not separate them.
    Folders of a suite's runs have = in their names, too (`transformer+majority+n=5`).
    """
    names: list[str] = []
    for piece in text.split(","):
        option = "=" in piece and not any(mark in piece.partition("=")[0] for mark in ":/+")
        if option and names and ":" in names[-1]:
            names[-1] += f",{piece}"
        else:
            names.append(piece.strip())
    return names
