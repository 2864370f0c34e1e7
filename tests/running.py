"""What documents show, and how it is run at a small size: commands in order, in one folder."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

# What may stand before a command: indentation, or who starts it.
STARTED = re.compile(r"^(?: {4,}|srun | +podman run .* )(llm-icl [^\n]*?)(?: &)?$", re.MULTILINE)


def shown_commands(page):
    """The command lines of a page's code blocks, as lists of arguments."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line, comments=True)[1:] for line in STARTED.findall(text)]


def shown_files(page):
    """The files that a page shows in full: their name alone before the block."""
    return dict(re.findall(r"`([\w./-]+)`:\n\n```\w+\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL))


# What pages ask for takes minutes or hours: the most that a run here needs, for each command.
_DRAWN = {"--n": 5, "--points": 12, "--problems": 8}
LARGEST = {
    "eval": _DRAWN,
    "identify": {"--n": 5, "--examples": 3, "--contexts": 10, "--queries": 2},
    "train": {"--n": 5, "--points": 12, "--layers": 1, "--width": 16, "--batch-size": 4, "--steps": 3},
    "probe": _DRAWN,
    "sample": _DRAWN,
    "export-tasks": _DRAWN,
}
_PROGRAM = """
import json, sys
from llm_icl.cli.main import cli
for words in json.loads(sys.argv[1]):
    print("$ llm-icl", *words, flush=True)
    cli.main(words, prog_name="llm-icl", standalone_mode=False)
for block in json.loads(sys.argv[2]):
    exec(compile(block, "block", "exec"), {})
"""


def small(words, models=()):
    """A command with small numbers and one n; `models` are what is asked in the place of others, by name."""
    verb, *rest = words
    numbers = dict(LARGEST.get(verb, {}))
    kept = []
    while rest:
        word = rest.pop(0)
        if word in numbers:
            given = rest.pop(0).split(",")[0]
            numbers[word] = min(int(given), numbers[word])
        elif word == "--model":
            kept += [word, ",".join(str(dict(models).get(name, name)) for name in rest.pop(0).split(","))]
        else:
            kept.append(word)
    return [verb, *kept, *(str(part) for pair in numbers.items() for part in pair)]


def run_all(commands, folder: Path, blocks=(), env=None):
    """All commands and then all Python blocks, in one process. Returns it when it has ended."""
    arguments = [sys.executable, "-c", _PROGRAM, json.dumps(commands), json.dumps(list(blocks))]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | (env or {})
    return subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
