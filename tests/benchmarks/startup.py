"""Commands that only print, and the smallest whole runs: medians of five, in seconds and in processor seconds. The bars
are 0.1 s for help, 0.2 s for lists, 1.2 s for an evaluation without a model and 5 s for one of the embedded model whose
replies are cached.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.timing import show

REPEATS = 5
_PRINTING = ("--help", "list tasks", "list prompts", "list models", "list learners")
_SMALL = "eval --task majority --n 5 --points 20 --problems 20 --out"
_RUNS = {"none": "--model none", "smollm2-135m, cached": "--model smollm2-135m"}
_SCRIPT = "from llm_icl.cli.main import main; main()"


def run() -> None:
    commands = {f"llm-icl {arguments}": f"{arguments}" for arguments in _PRINTING}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in _RUNS.items():
            commands[f"llm-icl eval, {name}"] = f"{_SMALL} {folder}/{{}}-{len(commands)} {model}"
            _call(_SCRIPT, commands[f"llm-icl eval, {name}"].format("first"))  # fills the cache
        taken: dict[str, list[tuple[float, float]]] = {}
        for repeat in range(REPEATS):  # taken by turns
            taken.setdefault("python -c 'import numpy'", []).append(_call("import numpy", ""))
            for name, arguments in commands.items():
                taken.setdefault(name, []).append(_call(_SCRIPT, arguments.format(repeat)))
    show([[name, *map(statistics.median, zip(*times, strict=True))] for name, times in taken.items()],
         ["command", "seconds", "processor seconds"])  # fmt: skip


def _call(script: str, arguments: str) -> tuple[float, float]:
    """Seconds, and processor seconds of the command and its own processes."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-c", script, *arguments.split()]
    where = Path(__file__).parents[2]
    subprocess.run(command, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
