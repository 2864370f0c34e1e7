"""Suites by name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_icl.config.cards import Card, read_card
from llm_icl.config.files import data_files, file_name
from llm_icl.config.specs import any_of
from llm_icl.errors import unknown_name
from llm_icl.runs.opening import digest, identity

KINDS = ("eval", "identify", "train", "finetune-vs-icl")


def suite_names(tasks_dir: Path | None = None) -> dict[str, Path]:
    return data_files("tasks/suites", ".yaml", tasks_dir / "suites" if tasks_dir else None)


def find_suite(text: str, tasks_dir: Path | None = None) -> tuple[str, Card]:
    """The name and the card of a suite, from its name or a file. Raises RequestError."""
    path = Path(text)
    if path.suffix not in (".yaml", ".yml"):
        paths = suite_names(tasks_dir)
        if text not in paths:
            raise unknown_name("suite", text, paths, "; or a YAML file")
        path = paths[text]
    card = read_card(path)
    if card.fields.get("kind", "eval") not in KINDS:
        raise card.error(f"'kind' must be {any_of(KINDS)}, not {card.fields['kind']!r}", "kind")
    return path.stem, card


def folder_name(name: str, records: Sequence[Any]) -> str:
    """A readable name, unique to the suite."""
    return f"suite-{file_name(name)}-{digest([identity(record) for record in records])}"
