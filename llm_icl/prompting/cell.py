"""The process in which users' templates, and the chat templates of models, are filled in; run as a script, started by
llm_icl/prompting/limited.py.

It reads a request a line from its input and writes an answer a line, both JSON, within a limited memory.
"""

import json
import re
import resource
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedEnvironment

MEMORY = 2**29
LONGEST = 5_000_000
ENVIRONMENT = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


class Generation(Extension):
    """`{% generation %}`, by which chat templates mark what a model writes: its content."""

    tags = {"generation"}  # noqa: RUF012 (as in the base class)

    def parse(self, parser: Parser) -> nodes.Node:
        line = next(parser.stream).lineno
        return nodes.Scope(parser.parse_statements(("name:endgeneration",), drop_needle=True)).set_lineno(line)


def refuse(reason: str) -> None:
    raise TemplateError(reason)


def as_json(
    value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False
) -> str:
    """Without the escapes for HTML of Jinja's own filter; its arguments are those that transformers knows."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


# What chat templates are written for: the environment of transformers, without today's date.
CHAT = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols])
CHAT.filters["tojson"] = as_json
for environment in (ENVIRONMENT, CHAT):
    del environment.filters["random"]  # which writes another prompt every time
CHAT.globals |= {"raise_exception": refuse, "strftime_now": lambda _: refuse("it writes today's date")}


@lru_cache(maxsize=32)
def compiled(environment: Environment, body: str) -> Template:
    return environment.from_string(body)


def undeclared(body: str) -> dict[str, int]:
    """The names that a template uses, with the first line of each."""
    tree = ENVIRONMENT.parse(body)
    used = meta.find_undeclared_variables(tree)
    return {name: min(node.lineno for node in tree.find_all(nodes.Name) if node.name == name) for name in used}


def text(body: str, names: dict[str, Any], environment: Environment = ENVIRONMENT) -> str:
    pieces: list[str] = []
    length = 0
    for piece in compiled(environment, body).generate(**names):
        pieces.append(piece)
        length += len(piece)
        if length > LONGEST:
            raise ValueError(f"it writes more than {LONGEST:,} characters")
    return "".join(pieces)


def chat(body: str, names: dict[str, Any]) -> str:
    return text(body, names, CHAT)


def label(pattern: str, reply: str) -> str | None:
    match = re.fullmatch(pattern, reply, re.DOTALL)
    return match["label"] if match else None


WORK: dict[str, Callable[..., Any]] = {"undeclared": undeclared, "text": text, "chat": chat, "label": label}


def line_of(problem: BaseException) -> int:
    """The line of the template in which an error was raised, 0 if unknown."""
    line, trace = 0, problem.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"is": WORK[request["what"]](*request["of"])}
    except TemplateSyntaxError as problem:
        return {"error": problem.message, "line": problem.lineno}
    except MemoryError:
        return {"error": f"it takes more than {MEMORY >> 20} MiB of memory", "line": 0}
    except RecursionError as problem:
        return {"error": "it is nested too deeply, or calls itself", "line": line_of(problem)}
    except Exception as problem:  # users' expressions may raise anything
        return {"error": str(problem) or "it cannot be filled in", "line": line_of(problem)}


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for asked in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(asked))) + "\n")
        sys.stdout.flush()
