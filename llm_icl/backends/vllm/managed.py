"""A vLLM server that is started for the run and stopped after it."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

from llm_icl.backends.base import ModelEntry
from llm_icl.backends.vllm.options import engine_arguments
from llm_icl.backends.vllm.process import PORT, serves, start, stop
from llm_icl.backends.vllm.server import VllmServer


class ManagedVllmServer(VllmServer):
    """A server on this machine that is started for the run and stopped after it, or a running one."""

    _process: "subprocess.Popen[bytes] | None" = None

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> "ManagedVllmServer":
        port = int(dict(entry.options).get("port", PORT))
        address = f"http://127.0.0.1:{port}/v1"
        process = None
        if not serves(address, entry):
            logs.mkdir(parents=True, exist_ok=True)
            process = start(entry, port, logs / "vllm.log")
        # The port is not part of the identity.
        model = cls(dataclasses.replace(entry, base_url=address))
        model._process = process
        try:
            model.connect()
        except BaseException:
            model.close()
            raise
        return model

    def identity(self) -> dict[str, Any]:
        return super().identity() | {"base_url": "", "weights": self.entry.fingerprint, **engine_arguments(self.entry)}

    def close(self) -> None:
        super().close()
        if self._process is not None:
            stop(self._process)
