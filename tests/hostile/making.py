"""Broken input, from a seed: values that nothing expects, and texts and JSON data with something changed in them."""

import copy
import json
import random
from typing import Any

TEXTS = [
    "",
    " ",
    "0",
    "-1",
    "1",
    "2",
    "3.5",
    "1e999",
    "-1e999",
    "nan",
    "inf",
    "4000000000",
    "9" * 40,
    "0x10",
    "true",
    "no",
    "null",
    "~",
    "None",
    "ü",
    "🙂",
    "\u2028",
    "a" * 300,
    "..",
    "../..",
    "/dev/null",
    "/proc/self/mem",
    ":",
    ",",
    "=",
    "a=b",
    "a:b=c",
    "a:b=",
    "{}",
    "[]",
    "[",
    "{",
    "%s",
    "{0}",
    "{{",
    "}}",
    "{%",
    "--",
    "-x",
    "*",
    "&a",
    "*a",
    "!!python/object:os.system",
    "2024-13-45",
    "2024-01-01",
    "\x1b[2J",
    "a\tb",
    "\\",
    "'",
    '"',
    "x1",
    "expr: x1",
    "table: 01",
    "majority",
    "smollm2-135m",
    "٣",
    "1_000",
    "basic",
    "none",
    "all",
    "hf/x",
    "openai/",
    "1:60:60",
    "<<",
    "?",
    "|",
    ">",
    "@",
    "`",
]
VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    3.5,
    10**30,
    -(10**400),
    float("nan"),
    float("inf"),
    1e308,
    [],
    {},
    [None],
    [[]],
    {"": ""},
    {"a": None},
    ["a", 1],
    [{"b": []}],
    *TEXTS,
]


def changed(data: Any, random: random.Random) -> Any:
    """JSON data with one or two parts replaced, removed, repeated or added."""
    data = copy.deepcopy(data)
    for _ in range(random.randint(1, 2)):
        places = list(_places(data))
        if not places:
            return random.choice(VALUES)
        holder, key = random.choice(places)
        how = random.randrange(5)
        if how == 0:
            del holder[key]
        elif how == 1 and isinstance(holder, dict):
            holder[random.choice(TEXTS)] = random.choice(VALUES)
        elif how == 1:
            holder.append(random.choice(VALUES))
        elif how == 2:
            holder[key] = [holder[key]] * random.randint(0, 3)
        else:
            holder[key] = copy.deepcopy(random.choice(VALUES))
    return data


def _places(data: Any) -> Any:
    parts = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    for key, part in parts:
        yield data, key
        yield from _places(part)


def garbled(text: str, random: random.Random) -> str:
    """A text with pieces cut out, doubled or replaced."""
    for _ in range(random.randint(1, 3)):
        start = random.randrange(len(text) + 1)
        end = min(len(text), start + random.choice((0, 1, 3, 20)))
        piece = random.choice(
            (random.choice(TEXTS), text[start:end] * 2, "", "\n", "  ", json.dumps(random.choice(TEXTS)))
        )
        text = text[:start] + piece + text[end:]
    return text
