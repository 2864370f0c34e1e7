"""What is found of a model when it is loaded, kept so that nothing is loaded for a run whose replies are all known."""

import contextlib
import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_icl.backends.embedded import cache_folder
from llm_icl.backends.lengths import context_length, turning_length
from llm_icl.backends.tokenizers import embeddings_of
from llm_icl.config.files import write_text

# Part of the file's name: incremented when the checks of a loaded model would find something else.
_CHECKS = 1


@dataclass(frozen=True)
class Reuse:
    """What may be reused between passes, and why the rest may not.

    batches: several sequences in one pass. forks: the cache of a prefix, copied and continued by several sequences.
    crops: a cache that is cut back to a shorter prefix and continued.
    """

    batches: bool
    forks: bool
    crops: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """The number of tokens with an embedding, the lengths of `lengths`, and what the self-check allows."""

    embeddings: int
    context_length: int | None
    turning_length: int | None
    reuse: Reuse

    @classmethod
    def of(cls, model: Any, reuse: Reuse) -> "Known":
        return cls(embeddings_of(model), context_length(model), turning_length(model), reuse)


def recall(identity: Mapping[str, Any]) -> Known | None:
    """What is known of a model with this identity; None if nothing is, or not in today's form."""
    try:
        fields = json.loads(_path(identity).read_text(encoding="utf-8"))
        found = fields.pop("reuse")
        return Known(**fields, reuse=Reuse(**found | {"reasons": tuple(found["reasons"])}))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def keep(identity: Mapping[str, Any], known: Known) -> None:
    """For `recall`. What cannot be written is found again the next time."""
    with contextlib.suppress(OSError):
        write_text(_path(identity), json.dumps(dataclasses.asdict(known)))


def _path(identity: Mapping[str, Any]) -> Path:
    mark = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    return cache_folder() / "checked" / f"{mark}-{_CHECKS}.json"
