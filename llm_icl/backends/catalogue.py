"""The catalogue of named models; any other model is named `backend/identifier`."""

import dataclasses
import math
import os
import re
from collections.abc import Mapping
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from llm_icl.backends.base import LocalModel, ModelEntry, backends
from llm_icl.config.addresses import checked_url, is_variable
from llm_icl.config.cards import Card, parse_card, read_card, read_text
from llm_icl.config.specs import Value, canonical_name, parse_value, written
from llm_icl.errors import RequestError, nearest, unknown_name

_SHIPPED = Path(__file__).with_name("catalogue.yaml")
# The default file of a user's own models.
OWN = Path("models.yaml")
DEFAULT_MODEL = "smollm2-135m"
# Parameters that a provider may accept or reject; listed per family, or per family and reasoning effort.
ACCEPTABLE = ("temperature", "logprobs", "stop", "effort", "schema")
# US dollars per million tokens.
PRICES = ("input", "cached", "write", "output")
_FIELDS = {entry.name.replace("_", "-") for entry in dataclasses.fields(ModelEntry)} - {
    "name",
    "fingerprint",
    "options",
}
# Files with weights, of which GGUF files are models of their own.
_ENDINGS = (".gguf", ".safetensors", ".bin", ".pt", ".pth")
_KINDS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("description", "effort", "thinking", "key", "base-url"), (str, "text")),
    **dict.fromkeys(("context", "reasoning"), (int, "a number of tokens")),
    "memory": ((int, float), "a number of GB"),
    "chat": (bool, "true or false"),
    "weights": (dict, "a list of 'field: value' lines"),
}


def model_names(own: Path | None = None) -> dict[str, ModelEntry]:
    """The named models; a user's own entries override shipped ones."""
    own = own or (OWN if OWN.is_file() else None)
    shipped = parse_card(read_text(_SHIPPED), str(_SHIPPED)).fields["families"] if own else {}
    return dict(_shipped()) | (_read(read_card(own), shipped) if own else {})


def find_model(text: str, base_url: str = "", own: Path | None = None) -> ModelEntry:
    """The model that a `--model` argument names, with the options that follow a colon: `NAME:dtype=bfloat16`.

    With a base URL, the model is called there. Raises RequestError, with the nearest name, for an unknown name.
    """
    entry = _find(text.strip(), own)
    base_url = base_url or entry.base_url
    asked_by = backends.get(entry.backend)
    if not base_url:
        if issubclass(asked_by, LocalModel) and not entry.fingerprint:
            _check_path(entry.identifier)
        return entry
    if asked_by.local and not asked_by.served_by:
        raise RequestError(
            f"model '{entry.name}' runs in this process: --base-url requires a served model (openai/NAME or vllm/NAME)"
        )
    backend = asked_by.served_by or entry.backend
    if base_url == entry.base_url:
        return dataclasses.replace(entry, backend=backend)
    return dataclasses.replace(entry, backend=backend, base_url=base_url, price={}, priced="")  # its price is unknown


def _find(text: str, own: Path | None) -> ModelEntry:
    text, options = _split_options(text)
    suffix = ":" + ",".join(f"{key}={written(value)}" for key, value in options) if options else ""
    entries = model_names(own)
    backend, slash, identifier = text.partition("/")
    known_backends = dict(backends.items()) if slash else {}
    if backend in known_backends:
        if not identifier:
            raise RequestError(f"'{text}' has no identifier: write {backend}/ORGANISATION/NAME, or a path")
        mark = _fingerprint(identifier) if known_backends[backend].local else ""
        # Catalogue properties apply to a model however it is named.
        known = next((e for e in entries.values() if (e.backend, e.identifier) == (backend, identifier)), None)
        named = known or ModelEntry(text, backend, identifier)
        return dataclasses.replace(named, name=text + suffix, fingerprint=mark, options=options)
    if _fingerprint(text):
        return ModelEntry(f"hf/{text}{suffix}", "hf", text, fingerprint=_fingerprint(text), options=options)
    name = canonical_name(text)
    if name not in entries:
        _check_path(text)
        if slash:
            raise RequestError(
                f"unknown model '{text}': there is no such folder; a model of the hub is hf/{text}, and the other "
                f"backends are {', '.join(key for key in known_backends if key != 'hf')}"
            )
        raise unknown_name("model", text, entries, "; or BACKEND/IDENTIFIER, a folder, a GGUF file, or none")
    return dataclasses.replace(entries[name], name=name + suffix, options=options)


def _check_path(text: str) -> None:
    """Raise RequestError, saying what is wrong with it, for what can only be meant as a path and is not a model."""
    path = Path(text).expanduser()
    if not os.path.exists(path):  # a name that is too long for a path does not exist
        if text.startswith((".", "/", "~")) or text.count("/") > 1 or path.suffix in _ENDINGS:
            raise RequestError(f"model '{text}': there is no such file or folder")
    elif not _fingerprint(text) and path.is_dir():
        raise RequestError(f"model '{text}': the folder holds no model (config.json) and no training run")
    elif not _fingerprint(text) and path.is_file():
        raise RequestError(f"model '{text}': a file with a model ends in .gguf")


def _fingerprint(identifier: str) -> str:
    """Sizes and modification times of a local model's files: they distinguish models at the same path."""
    path = Path(identifier).expanduser()
    try:
        if path.is_dir() and (path / "config.json").is_file():
            files = sorted(file for file in path.iterdir() if file.is_file())
        else:
            files = [path] if path.suffix == ".gguf" and path.is_file() else []
        return ";".join(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)
    except OSError:  # not a path, such as a name that is too long for one
        return ""


_SECRET = r"(api|access|secret)[-_]?key|token$|secret|password|authorization"


def _split_options(text: str) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """Options follow the last colon and each contain a =; other colons belong to the identifier."""
    head, colon, tail = text.rpartition(":")
    pieces = [piece.partition("=") for piece in tail.split(",")]
    is_read = colon and all(equals and key and value for key, equals, value in pieces)
    # What is not read as options, such as a key with a colon in it, becomes a name, and names are shown.
    unread = re.findall(r"[:,]\s*([\w-]+)\s*=", head if is_read else text)
    named = [*(key.strip() for key, _, _ in pieces if is_read), *unread]
    for key in named:
        if re.search(_SECRET, key.lower()) or (key in unread and key.lower() == "key"):
            raise RequestError(f"a model has no option '{key}' like this: keys belong into environment variables")
    if not is_read:
        return text, ()
    return head, tuple((canonical_name(key), parse_value(value.strip())) for key, _, value in pieces)


@cache
def _shipped() -> dict[str, ModelEntry]:
    return _read(parse_card(read_text(_SHIPPED), str(_SHIPPED)))


def _read(card: Card, known: Mapping[str, Any] = MappingProxyType({})) -> dict[str, ModelEntry]:
    """A catalogue: `families` are defaults shared by their models. `known` families can also be used."""
    card.only(("families", "models"), needed=("models",))
    families, models = (_mapping(card, card.fields.get(key) or {}, key) for key in ("families", "models"))
    families = {**known, **families}
    entries = {}
    for name, given in models.items():
        name = str(name)
        fields = dict(_mapping(card, given, "models", f"model '{name}'"))
        family = fields.pop("family", None)
        if family is not None and not isinstance(family, str):
            raise card.error(f"model '{name}': 'family' must be text", "models")
        if family is not None and family not in families:
            raise card.error(f"model '{name}': {unknown_name('family', family, families)}", "models")
        shared = _mapping(card, families[family], "families", f"family '{family}'") if family is not None else {}
        entries[canonical_name(name)] = _entry(card, canonical_name(name), {**shared, **fields})
    return entries


def _entry(card: Card, name: str, fields: dict[str, Any]) -> ModelEntry:
    def wrong(message: str) -> RequestError:
        return card.error(f"model '{name}': {message}", "models")

    for key in fields:
        if key not in _FIELDS:
            known = sorted((*_FIELDS, "family"))
            raise wrong(f"unknown field '{key}': {nearest(str(key), known)}known are {', '.join(known)}")
    for key in ("backend", "identifier"):
        if not isinstance(fields.get(key), str):
            raise wrong(f"'{key}' is required and must be text")
    if "key" in fields and not is_variable(fields["key"]):
        raise wrong("'key' must be the name of the environment variable that holds the key, not the key itself")
    for key, value in fields.items():
        kind, described = _KINDS.get(key, (object, ""))
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise wrong(f"'{key}' must be {described}, not {value!r}")
    accepts = fields.get("accepts", [])
    lists = list(accepts.values()) if isinstance(accepts, dict) else [accepts]
    if not all(isinstance(some, list) and all(word in ACCEPTABLE for word in some) for some in lists):
        raise wrong(f"'accepts' must be a list of {', '.join(ACCEPTABLE)}, or such lists by reasoning effort")
    price = fields.get("price", {})
    if not isinstance(price, dict) or not all(
        key in PRICES and type(value) in (int, float) and 0 <= value < math.inf for key, value in price.items()
    ):
        raise wrong(f"'price' must give US dollars per million tokens for {', '.join(PRICES)}")
    if price and not {"input", "output"} <= set(price):
        raise wrong("'price' needs input and output")
    if price and not isinstance(fields.get("priced"), date):
        raise wrong("a price requires its date, such as 'priced: 2026-11-20'")
    if fields.get("base-url"):
        try:
            checked_url(fields["base-url"])
        except RequestError as problem:
            raise wrong(str(problem).replace("--base-url", "'base-url'")) from None
    named = {key.replace("-", "_"): value for key, value in fields.items()}
    return ModelEntry(name, **{**named, "priced": str(fields.get("priced", ""))})


def _mapping(card: Card, value: Any, key: str, what: str = "") -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise card.error(f"{what or repr(key)} must be a list of 'field: value' lines", key)
    return value
