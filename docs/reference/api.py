"""The reference page of the Python API, from signatures and docstrings: `python docs/reference/api.py` writes it."""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import llm_icl  # noqa: E402
from llm_icl import errors  # noqa: E402
from llm_icl.backends.base import LanguageModel, ModelEntry  # noqa: E402
from llm_icl.experiments.base import Experiment, Session  # noqa: E402
from llm_icl.function_classes import FunctionClass  # noqa: E402
from llm_icl.learners import Learner  # noqa: E402
from llm_icl.problems import Answers, Problems, Task  # noqa: E402
from llm_icl.randomness import Source  # noqa: E402
from llm_icl.reports.document import Column, Figure, Report, Section, Table  # noqa: E402
from local_models.mixers.base import Mixer  # noqa: E402

TARGET = Path(__file__).with_name("api.md")
# The function, and the command whose options are its arguments.
COMMANDS = {"evaluate": "eval", "train": "train", "identify": "identify", "probe": "probe",
            "finetune_vs_icl": "finetune-vs-icl", "draw": "sample", "report": "report"}  # fmt: skip
PARTS = {
    "What is learned": (Task, Problems, Answers),
    "What a report holds": (Report, Section, Table, Column, Figure),
    "What can be added": (FunctionClass, Source, Learner, Mixer, LanguageModel, ModelEntry, Experiment, Session),
    "Errors": (errors.RequestError, errors.WorkError, errors.BudgetSpentError),
}
INTRODUCTION = """# Python API

<!-- Made by docs/reference/api.py from signatures and docstrings: change those, not this page. -->

`import llm_icl` gives the functions and `Result`; everything else is imported from its module. How they are used: [the
guide](../guide/python.md). Arguments of functions that make runs are the options of the command, with underscores; what
each does is said in [commands](commands.md).
"""


def page() -> str:
    parts = [INTRODUCTION, "## Functions\n"]
    for name in sorted(set(llm_icl.__all__) - {"Result"}):
        parts += _function(name, getattr(llm_icl, name))
    parts += ["## Result\n", *_class(llm_icl.Result)]
    for heading, kinds in PARTS.items():
        parts.append(f"## {heading}\n")
        for kind in kinds:
            parts += [f"### {kind.__name__}\n", f"`from {_place(kind)} import {kind.__name__}`\n", *_class(kind)]
    return "\n".join(parts).rstrip() + "\n"


def _function(name: str, function: Any) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"```python\n{_written(name, function)}\n```\n"
    first, *rest = (inspect.getdoc(function) or "").split("\n\n")
    yield f"{_line(first)}\n"
    if name in COMMANDS:
        yield f"Like [`{COMMANDS[name]}`](commands.md#{COMMANDS[name]}).\n"
    else:
        yield from (f"{_line(part)}\n" for part in rest)


def _class(kind: type) -> Iterator[str]:
    doc = inspect.getdoc(kind) or ""
    if not doc.startswith(f"{kind.__name__}("):  # what dataclasses write where there is none
        yield from (f"{_line(part)}\n" for part in doc.split("\n\n"))
    if fields := [name for base in reversed(kind.__mro__) for name in _fields(base)]:
        yield f"Fields: {', '.join(f'`{name}`' for name in dict.fromkeys(fields))}.\n"
    rows = []
    for name, member in vars(kind).items():
        member = getattr(member, "fget", None) or getattr(member, "func", None) or getattr(member, "__func__", member)
        if not name.startswith("_") and inspect.isfunction(member):
            plain = isinstance(inspect.getattr_static(kind, name), property) or hasattr(vars(kind)[name], "func")
            rows.append((name if plain else f"{name}{_names(member)}", _line(inspect.getdoc(member) or "")))
    if rows:
        yield "| member | what it gives |\n| --- | --- |"
        yield from (f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in rows)
        yield ""


def _fields(kind: type) -> list[str]:
    """Public fields of dataclasses and class variables; those of torch's classes are not ours."""
    if not kind.__module__.startswith(("llm_icl", "local_models")):
        return []
    return [name for name in inspect.get_annotations(kind) if not name.startswith("_")]


def _place(kind: type) -> str:
    """The package that offers it, else its module."""
    package = kind.__module__.rpartition(".")[0]
    return package if hasattr(importlib.import_module(package), kind.__name__) else kind.__module__


def _names(function: Any) -> str:
    return f"({', '.join(name for name in inspect.signature(function).parameters if name not in ('self', 'cls'))})"


def _written(name: str, function: Any) -> str:
    """The signature, an argument a line where it is long."""
    signature = inspect.signature(function)
    shown = []
    for one in signature.parameters.values():
        if one.kind is one.KEYWORD_ONLY and not any(word.startswith("*") for word in shown):
            shown.append("*")
        stars = "*" if one.kind is one.VAR_POSITIONAL else ""
        default = "" if one.default is one.empty else f" = {getattr(one.default, '__name__', repr(one.default))}"
        shown.append(f"{stars}{one.name}: {_annotation(one.annotation)}{default}")
    long = len(", ".join(shown)) > 80
    inside = "\n    " + ",\n    ".join(shown) + ",\n" if long else ", ".join(shown)
    # In the quotes that the formatter writes, which formats the code in pages too.
    return f"def {name}({inside}) -> {_annotation(signature.return_annotation)}: ...".replace("'", '"')


def _annotation(kind: Any) -> str:
    """Without the modules that names are from."""
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", inspect.formatannotation(kind))


def _line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
    print(TARGET.relative_to(ROOT))
