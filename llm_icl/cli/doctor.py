"""`llm-icl doctor`: what this machine has, and what works here."""

import json
import os
import platform
import shutil
from pathlib import Path

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    """Print versions, devices, caches, and what each backend has here. Nothing is loaded or sent; of keys it says only
    whether they are set.
    """
    from llm_icl.backends.base import backends
    from llm_icl.cli.progress import speak

    speak()
    found = {
        "versions": _versions(),
        "machine": _machine(),
        "caches": _caches(),
        "backends": {name: backend.here() for name, backend in backends.items()},
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    width = max(len(name) for part in found.values() for name in part)
    blocks = [
        [heading, *(f"  {name:{width}}  {text}" for name, text in part.items())] for heading, part in found.items()
    ]
    click.echo("\n\n".join("\n".join(block) for block in blocks))


def _versions() -> dict[str, str]:
    import importlib.util

    from llm_icl.runs.versions import versions

    missing = {name: f"not installed (pip install 'llm-icl[{name}]')" for name in ("ray", "vllm")}
    return versions() | {name: text for name, text in missing.items() if importlib.util.find_spec(name) is None}


def _machine() -> dict[str, str]:
    from llm_icl.backends.machine import gpus, memory

    cards = gpus()
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory():.0f} GB",
        "GPUs": ", ".join(f"{card:.0f} GB" for card in cards) or "none",
        "free disk": f"{shutil.disk_usage('.').free / 1e9:.0f} GB in the current folder",
    }


def _caches() -> dict[str, str]:
    from llm_icl.backends.embedded import cache_folder
    from llm_icl.experiments.limits import CACHE

    hub = Path(os.environ.get("HF_HOME", Path.home() / ".cache" / "huggingface"))
    places = {"embedded models": cache_folder(), "Hugging Face": hub, "replies": Path("outputs") / CACHE}
    return {name: f"{_size(path) / 1e6:,.0f} MB in {path}" for name, path in places.items()}


def _size(path: Path) -> int:
    """Bytes of a file, or of the files in a folder; links are not followed."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.lstat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())
