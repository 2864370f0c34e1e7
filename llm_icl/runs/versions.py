"""What made a result: the versions of the packages and the commit of the checkout."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version

from llm_icl import __version__
from llm_icl.config.files import PACKAGE

_PACKAGES = (
    "numpy", "scipy", "torch", "transformers", "tokenizers", "scikit-learn", "polars", "gguf", "openai", "anthropic",
    "vllm",
)  # fmt: skip
# Those that compute numbers. The others read, write and send: what a provider answered stays what it was.
_COMPUTING = (
    "llm-icl", "git commit", "numpy", "scipy", "torch", "transformers", "tokenizers", "scikit-learn", "gguf", "vllm",
)  # fmt: skip


def versions() -> dict[str, str]:
    """Package versions by name, with Python's, and the git commit where the package is a checkout."""
    found = {"llm-icl": __version__, "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    if commit := _commit():
        found["git commit"] = commit
    return found


def changed(earlier: Mapping[str, str]) -> list[str]:
    """The packages whose version may give other numbers now than it did then: `numpy 2.4.5, now 2.4.6`.

    A package that was not there then, or is not now, made no number and makes none.
    """
    now = versions()
    both = [name for name in _COMPUTING if name in earlier and name in now]
    return [f"{name} {earlier[name]}, now {now[name]}" for name in both if earlier[name] != now[name]]


def _commit() -> str:
    """The checkout's commit, marked where files have changed since; empty outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(PACKAGE.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
