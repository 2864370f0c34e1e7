"""Runs what the documents show, at a small size: commands in order, in one folder, with the files that a page shows."""

import json
import os
import subprocess
import sys
from pathlib import Path

# What is asked for takes minutes or hours: the most that a run here needs, for each command.
_DRAWN = {"--n": 5, "--points": 9, "--problems": 8}
LARGEST = {
    "eval": _DRAWN,
    "identify": {"--n": 5, "--examples": 3, "--contexts": 10, "--queries": 2},
    "train": {"--n": 5, "--points": 9, "--layers": 1, "--width": 16, "--batch-size": 4, "--steps": 3},
    "probe": _DRAWN,
    "sample": _DRAWN,
}
EMBEDDED = ("smollm2-135m", "gemma3-270m")
_PROGRAM = """
import json, sys
from llm_icl.cli.main import cli
for words in json.loads(sys.argv[1]):
    print("$ llm-icl", *words, flush=True)
    cli.main(words, prog_name="llm-icl", standalone_mode=False)
for block in json.loads(sys.argv[2]):
    exec(compile(block, "block", "exec"), {})
"""


def small(words, model):
    """A command with small numbers, one n, and the folder of a tiny model in the place of embedded ones."""
    verb, *rest = words
    numbers = dict(LARGEST.get(verb, {}))
    kept = []
    while rest:
        word = rest.pop(0)
        if word in numbers:
            given = rest.pop(0).split(",")[0]
            numbers[word] = min(int(given), numbers[word])
        elif word == "--model":
            names = [str(model) if name in EMBEDDED else name for name in rest.pop(0).split(",")]
            kept += [word, ",".join(names)]
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
