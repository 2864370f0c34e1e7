"""All parts one after the other, each in a process of its own with its share of eight minutes: prints a table for each
and writes all rows as JSON. Where there is no GPU, the parts are run at toy size on the CPU, which checks them.
"""

import argparse
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tabulate import tabulate

from tests.gpu.card import Card, Row

# Seconds of each part, starting included; a part that has used them up ends with the rows that it has.
PARTS = {"about": 20, "windows": 30, "resuming": 65, "momentum": 45, "training": 85, "scoring": 75, "mixers": 150}


ERRORS = ("loss error", "output error", "gradient error", "P against CPU", "P against alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("outputs/gpu.json"))
    parser.add_argument("--part", choices=PARTS, help="only this one, as lines of JSON")
    given = parser.parse_args()
    if given.part:
        for row in importlib.import_module(f"tests.gpu.{given.part}").rows(Card.here()):
            print(json.dumps(row), flush=True)
        return
    if Card.here().toy:
        print("no GPU here: every part at toy size on the CPU, which checks the code and measures nothing\n")
    given.json.parent.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Row]] = {}
    for part, limit in PARTS.items():
        began = time.monotonic()
        found[part] = limited(part, limit)
        print(f"{part}, {time.monotonic() - began:.0f} s\n\n{table(found[part])}\n", flush=True)
        given.json.write_text(json.dumps(found, indent=1))  # after every part: nothing is lost with the machine
    print(f"all rows: {given.json}")
    if any(fails(row) for rows in found.values() for row in rows):
        sys.exit("something does not hold")


def fails(row: Row) -> bool:
    """Whether something does not hold. That time or memory was used up is no failure."""
    largest = 1e-3 if row.get("form") == "float32" else 0.1
    wrong = any(not row[error] < largest for error in ERRORS if error in row)
    problem = str(row.get("problem", ""))
    broken = problem and not problem.startswith(("ended after", "out of memory", "OutOfMemoryError"))
    return bool(wrong or broken or row.get("holds") is False)


def limited(part: str, limit: float) -> list[Row]:
    """The rows of a part as far as it came in so many seconds; why it ended, if not by itself, is the last."""
    with tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-m", "tests.gpu", "--part", part]
        # A group of its own: compiling starts more processes.
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, start_new_session=True, text=True)
        stop = threading.Timer(limit, lambda: os.killpg(process.pid, signal.SIGKILL))
        stop.daemon = True
        stop.start()
        assert process.stdout
        try:
            rows = [json.loads(line) for line in process.stdout if line.startswith("{")]
            process.wait()
        except BaseException:  # Ctrl-C is for the group of this process only
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
        finally:
            late, _ = not stop.is_alive(), stop.cancel()
        if process.returncode:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            ended: Row = (
                {"problem": f"ended after {limit} s"} if late else {"problem": "".join(last)[:200], "holds": False}
            )
            rows.append({"what": part} | ended)
    return rows


def table(rows: list[Row]) -> str:
    headers = list(dict.fromkeys(key for row in rows for key in row))
    return tabulate([[row.get(key) for key in headers] for row in rows], headers, floatfmt=".3g")


if __name__ == "__main__":
    main()
