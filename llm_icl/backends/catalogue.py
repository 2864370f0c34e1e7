"""The models that have a name, and how any other model is named: `backend/identifier`."""

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from llm_icl.cards import parse_card
from llm_icl.errors import RequestError, unknown_name
from llm_icl.naming import Value, canonical_name, parse_value

_CATALOGUE = Path(__file__).with_name("catalogue.yaml")
DEFAULT_MODEL = "smollm2-135m"
BACKENDS = ("hf",)


@dataclass(frozen=True)
class ModelEntry:
    """One model: who runs it, under which identifier, and what is known of it."""

    name: str
    backend: str
    identifier: str
    description: str = ""
    context: int = 0
    weights: dict[str, Any] = field(default_factory=dict)
    options: tuple[tuple[str, Value], ...] = ()


def model_names() -> dict[str, ModelEntry]:
    return dict(_catalogue())


def find_model(text: str) -> ModelEntry:
    """The model that a `--model` argument names, with the options that follow a colon: `NAME:dtype=bfloat16`.

    Raises RequestError, with the nearest name, where nothing has that name.
    """
    text, options = _split_options(text.strip())
    backend, slash, identifier = text.partition("/")
    if backend in BACKENDS and slash:
        if not identifier:
            raise RequestError(f"'{text}' lacks an identifier: write {backend}/ORGANISATION/NAME, or a path")
        return ModelEntry(text, backend, identifier, options=options)
    if Path(text).suffix == ".gguf" or (Path(text) / "config.json").is_file():
        return ModelEntry(Path(text).stem, "hf", text, options=options)
    entries = _catalogue()
    name = canonical_name(text)
    if name not in entries:
        raise unknown_name("model", text, [*entries, "hf/IDENTIFIER", "a folder or a GGUF file", "none"])
    entry = entries[name]
    display = f"{name}:{','.join(f'{key}={value}' for key, value in options)}" if options else name
    return ModelEntry(
        display, entry.backend, entry.identifier, entry.description, entry.context, entry.weights, options
    )


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
