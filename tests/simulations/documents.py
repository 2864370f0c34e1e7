"""Every command of the documents, run at a small size, or why not: `python -m tests.simulations.documents [PAGE …]`.

With the package of the interpreter, which may be an installed wheel, and with the embedded models. What is sent to a
provider, or needs a GPU, a cluster or the reader's own files, is planned (`--dry-run`) where that is possible.
"""

import re
import sys
import tempfile
import time
from pathlib import Path

from tests.running import run_all, shown_commands, small

ROOT = Path(__file__).parents[2]
# Runs that pages call by these names.
RUNS = [
    f"eval --model none --task {task} --n 3 --points 8 --problems 8 --out outputs/{name}".split()
    for task, name in (("majority", "RUN"), ("parity", "OTHER-RUN"), ("majority", "first"))
]
NETWORK = "train --task conjunction --n 5 --points 12 --steps 2 --width 16 --layers 1 --out outputs/mine".split()
EMBEDDED = ("smollm2-135m", "gemma3-270m", "none")


def planned(words):
    """The command as it can be run here, and why not in full; no command where it cannot be run at all."""
    verb, text = words[0], " ".join(words)
    if verb in ("import", "train-lm", "finetune-vs-icl") or "--answers" in words or "./my-" in text:
        return None, "the reader's files, or a download"
    if re.search(r"--model (hf|vllm)/[A-Z]{3}|MODEL|SUITE|@[1-9]|my-suite|/NAME", text):
        return None, "a name that stands for others"
    if verb == "serve":
        return [*words, *(["--dry-run"] if "--dry-run" not in words else [])], "a GPU"
    if verb == "run":
        return [one for one in words if one not in ("--on", "ray")] + ["--dry-run"], "hours, or a cluster"
    if verb == "train" and "smollm2-135m" in text:
        return None, "minutes"
    models = words[words.index("--model") + 1].split(",") if "--model" in words else []
    if any(model not in EMBEDDED and not model.startswith("outputs/") for model in models) and verb != "plan":
        return [*words, *(["--dry-run"] if "--dry-run" not in words else [])], "a provider or a GPU"
    return small(words), ""


def main() -> None:
    pages = [ROOT / name for name in sys.argv[1:]] or [
        ROOT / "README.md",
        *sorted((ROOT / "docs" / "guide").glob("*.md")),
    ]
    failed = 0
    for page in pages:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            commands = shown_commands(page)
            makes_its_own = any("outputs/mine" in words and words[0] == "train" for words in commands)
            run_all(RUNS if makes_its_own else [*RUNS, NETWORK], folder)
            for words in commands:
                command, why = planned(words)
                began = time.monotonic()
                done = run_all([command], folder) if command else None
                state = f"not run: {why}" if done is None else "planned" if why else "ran"
                if done and done.returncode:
                    state, failed = f"FAILED: {done.stderr.strip().splitlines()[-1]}", failed + 1
                print(f"{time.monotonic() - began:5.1f} s  {page.name}: llm-icl {' '.join(words)}: {state}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
