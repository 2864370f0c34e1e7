"""The hardware of this machine, and whether a model fits."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from llm_icl.backends.base import ModelEntry
from llm_icl.backends.catalogue import DEFAULT_MODEL

# The fraction of memory available for weights; the rest is for activations and the KV cache.
_ROOM = 0.85
# Devices of the drivers that PyTorch finds GPUs by: NVIDIA's, the same on a Jetson, in WSL, and AMD's.
_DRIVERS = ("nvidiactl", "nvmap", "dxg", "kfd")


def gpus() -> list[float]:
    """The memory of each NVIDIA GPU, in GB."""
    try:
        asked = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
        lines = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30).stdout.split()
        return [int(line) * 2**20 / 1e9 for line in lines]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []


def has_gpu() -> bool:
    """Whether PyTorch can use a GPU here. Where Linux has no driver of one, PyTorch is not imported to say so."""
    if sys.platform == "linux" and not any(Path("/dev", driver).exists() for driver in _DRIVERS):
        return False
    import torch

    return torch.cuda.is_available()


def memory() -> float:
    """This machine's memory, in GB."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def resources() -> str:
    """What this machine has for vLLM, in words."""
    cards = gpus()
    here = [
        f"{len(cards)} GPU{'s' if len(cards) > 1 else ''} with {sum(cards):.0f} GB" if cards else "no GPU",
        f"{memory():.0f} GB of memory",
        "vLLM" if _has_vllm() else "no vLLM (pip install 'llm-icl[vllm]')",
    ]
    return ", ".join(here)


def _has_vllm() -> bool:
    return importlib.util.find_spec("vllm") is not None


def refusal(entry: ModelEntry) -> str:
    """Why this machine cannot run the model on vLLM, and what to do; empty if it can."""
    fits = entry.memory <= _ROOM * (sum(gpus()) or memory())
    if _has_vllm() and fits:
        return ""
    needs = f"about {entry.memory:.0f} GB of GPU memory and vLLM" if entry.memory else "vLLM"
    return (
        f"model '{entry.name}' needs {needs}; this machine has {resources()}. Serve it on another machine "
        f"(there: llm-icl serve {entry.name}) and pass --base-url http://HOST:8000/v1, or use the embedded model: "
        f"--model {DEFAULT_MODEL}"
    )


def tensor_parallel(entry: ModelEntry) -> int:
    """The tensor-parallel size: the smallest power of two of GPUs that hold the weights."""
    cards = gpus()
    size = 1
    while cards and 2 * size <= len(cards) and entry.memory > _ROOM * size * min(cards):
        size *= 2
    return size
