"""What made a result: the versions of the packages and the commit of the checkout."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version

from llm_icl import __version__
from llm_icl.config.files import PACKAGE

_PACKAGES = ("numpy", "torch", "transformers", "scikit-learn", "polars", "gguf", "openai", "anthropic", "vllm")


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


def _commit() -> str:
    """The checkout's commit, marked where files have changed since; empty outside a checkout."""
    if not (PACKAGE.parent / ".git").exists():
        return ""
    try:
        asked = ["git", "-C", str(PACKAGE.parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        return subprocess.run(asked, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
