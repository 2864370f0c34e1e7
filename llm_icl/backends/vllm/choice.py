"""The backend `vllm`: its engine in this process, or a server that is started for the run."""

from pathlib import Path

from llm_icl.backends.base import LanguageModel, ModelEntry, backends
from llm_icl.backends.machine import refusal, resources
from llm_icl.backends.vllm.engine import VllmModel
from llm_icl.backends.vllm.managed import ManagedVllmServer
from llm_icl.backends.vllm.options import engine_arguments
from llm_icl.errors import RequestError


@backends.register("vllm")
class Vllm(VllmModel):
    """Options: dtype, quantization, tensor-parallel, pipeline-parallel, data-parallel, executor (mp, or ray for several
    nodes), memory-share, context, revision, eager, chat, and server (true: start a server for the run, or use a
    running one) with its port and timeout.
    """

    @classmethod
    def check(cls, entry: ModelEntry) -> None:
        engine_arguments(entry)
        if reason := refusal(entry):
            raise RequestError(reason)

    @classmethod
    def here(cls) -> str:
        return resources()

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> LanguageModel:
        options = dict(entry.options)
        # Data parallelism requires the server.
        if options.get("server") or options.get("data-parallel", 1) != 1:
            return ManagedVllmServer.load(entry, logs)
        return cls(entry)
