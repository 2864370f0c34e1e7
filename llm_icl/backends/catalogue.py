"""The models that have a name, and how any other model is named: `backend/identifier`."""

import dataclasses
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from llm_icl.cards import parse_card
from llm_icl.errors import RequestError, unknown_name
from llm_icl.naming import Value, canonical_name, parse_value, written

_CATALOGUE = Path(__file__).with_name("catalogue.yaml")
DEFAULT_MODEL = "smollm2-135m"


@dataclass(frozen=True)
class ModelEntry:
    """One model: who runs it, under which identifier, and what is known of it. `fingerprint` is that of local files."""

    name: str
    backend: str
    identifier: str
    description: str = ""
    context: int = 0
    weights: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    options: tuple[tuple[str, Value], ...] = ()


def model_names() -> dict[str, ModelEntry]:
    return dict(_catalogue())


def find_model(text: str) -> ModelEntry:
    """The model that a `--model` argument names, with the options that follow a colon: `NAME:dtype=bfloat16`.

    Raises RequestError, with the nearest name, where nothing has that name.
    """
    from llm_icl.backends.base import backends  # the backends import this module

    text, options = _split_options(text.strip())
    suffix = ":" + ",".join(f"{key}={written(value)}" for key, value in options) if options else ""
    backend, slash, identifier = text.partition("/")
    if slash and backend in dict(backends.items()):
        if not identifier:
            raise RequestError(f"'{text}' lacks an identifier: write {backend}/ORGANISATION/NAME, or a path")
        return ModelEntry(text + suffix, backend, identifier, fingerprint=_fingerprint(identifier), options=options)
    if _fingerprint(text):
        return ModelEntry(f"hf/{text}{suffix}", "hf", text, fingerprint=_fingerprint(text), options=options)
    entries = _catalogue()
    name = canonical_name(text)
    if name not in entries:
        raise unknown_name("model", text, entries, "; or hf/IDENTIFIER, a folder, a GGUF file, or none")
    return dataclasses.replace(entries[name], name=name + suffix, options=options)


def _fingerprint(identifier: str) -> str:
    """Sizes and times of a local model's files, so that another model in the same place is another model."""
    path = Path(identifier).expanduser()
    try:
        if path.is_dir() and (path / "config.json").is_file():
            files = sorted(file for file in path.iterdir() if file.is_file())
        else:
            files = [path] if path.suffix == ".gguf" and path.is_file() else []
        return ";".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
    except OSError:  # no path at all, such as a name that is too long for one
        return ""


def _split_options(text: str) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """Options stand after the last colon, and each of them holds a =; a colon in an identifier stays."""
    head, colon, tail = text.rpartition(":")
    pieces = [piece.partition("=") for piece in tail.split(",")]
    if not colon or not all(equals and key and value for key, equals, value in pieces):
        return text, ()
    return head, tuple((canonical_name(key), parse_value(value.strip())) for key, _, value in pieces)


@cache
def _catalogue() -> dict[str, ModelEntry]:
    card = parse_card(_CATALOGUE.read_text(encoding="utf-8"), str(_CATALOGUE))
    return {name: ModelEntry(name, **fields) for name, fields in card.fields.items()}
