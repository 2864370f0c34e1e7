"""Wall time of commands that only print; the bar is 0.25 s."""

import subprocess
import sys

from tests.benchmarks.timing import best, show

COMMANDS = ("--help", "list tasks", "list prompts", "list models", "list learners")


def run() -> None:
    def call(arguments: str) -> None:
        script = "from llm_icl.cli.main import main; main()"
        subprocess.run([sys.executable, "-c", script, *arguments.split()], stdout=subprocess.DEVNULL, check=True)

    bare = best(lambda: subprocess.run([sys.executable, "-c", "import numpy"], check=True))
    rows: list[list[object]] = [["python -c 'import numpy'", bare]]
    rows += [[f"llm-icl {arguments}", best(lambda a=arguments: call(a))] for arguments in COMMANDS]  # type: ignore[misc]
    show(rows, ["command", "seconds"])
