"""Vega-Lite as SVG, drawn in a process of its own: starting takes half a second, which other work need not wait for,
and a drawing that ends its process (vl-convert can) does not end ours.
"""

import atexit
import json
import os
import subprocess
import sys
import threading
from functools import cache
from typing import Any

from llm_icl.errors import WorkError

# Reads a line of JSON for each drawing and writes one, while there is someone to draw for.
_DRAWING = """
import json, os, sys
import vl_convert
vl_convert.vegalite_to_svg({"mark": "point"})  # loads what draws
for line in sys.stdin:
    specification, config = json.loads(line)
    try:
        answer = {"svg": vl_convert.vegalite_to_svg(specification, config=config)}
    except Exception as problem:
        answer = {"problem": str(problem)}
    try:
        print(json.dumps(answer), flush=True)
    except BrokenPipeError:
        os._exit(0)
"""
_one_at_a_time = threading.Lock()


def start() -> None:
    """Start the process early, so that it is ready when the first figure is."""
    _process(os.getpid())


def svg(specification: dict[str, Any], config: dict[str, Any]) -> str:
    """Raises WorkError, with the reason, if it cannot be drawn."""
    request = json.dumps([specification, config]) + "\n"
    with _one_at_a_time:
        line, status = _drawn(request)
        if not line:  # it may have been ended while it waited
            line, status = _drawn(request)
    if not line:
        raise WorkError(f"a figure cannot be drawn: vl-convert ended with status {status}")
    answer: dict[str, str] = json.loads(line)
    if "problem" in answer:
        raise WorkError(f"a figure cannot be drawn: {answer['problem']}")
    return answer["svg"]


def _drawn(request: str) -> tuple[str, int]:
    """The answer of the process; if there is none, it has ended: the next request starts another."""
    process = _process(os.getpid())
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(request)
        process.stdin.flush()
        line = process.stdout.readline()
    except OSError:
        line = ""
    except BaseException:  # Ctrl-C: the answer that still comes must not be taken for that to the next request
        process.kill()
        _process.cache_clear()
        raise
    if line.endswith("\n"):
        return line, 0
    _process.cache_clear()
    return "", process.wait()


@cache
def _process(_: int) -> subprocess.Popen[str]:
    """One for each process of ours: a fork must not share its pipes."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-c", _DRAWING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        process_group=0,  # Ctrl-C is for whom it draws
    )  # fmt: skip
    atexit.register(_end, process, os.getpid())
    return process


def _end(process: subprocess.Popen[str], owner: int) -> None:
    if os.getpid() == owner:
        process.kill()
        process.communicate()
