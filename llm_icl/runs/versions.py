"""Versions of packages and the commit of the checkout."""

import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from llm_icl import __version__
from llm_icl.config.files import PACKAGE

_PACKAGES = (
    "numpy", "scipy", "torch", "transformers", "tokenizers", "polars", "gguf", "openai", "anthropic",
    "vllm",
)  # fmt: skip
# Packages that affect numbers. Others read, write and send: providers' replies do not depend on them.
_COMPUTING = (
    "llm-icl", "git commit", "numpy", "scipy", "torch", "transformers", "tokenizers", "gguf", "vllm",
)  # fmt: skip


@cache
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
    """The packages whose version change may affect numbers: `numpy 2.4.5, now 2.4.6`.

    A package that was or is not installed does not count.
    """
    now = versions()
    both = [name for name in _COMPUTING if name in earlier and name in now]
    return [f"{name} {earlier[name]}, now {now[name]}" for name in both if earlier[name] != now[name]]


def _commit() -> str:
    """The checkout's commit, marked if files have changed; empty outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(PACKAGE.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
