"""The backend `vllm`: its engine in this process, or a server that is started for the work."""

from pathlib import Path

from llm_icl.backends.base import LanguageModel, ModelEntry, backends
from llm_icl.backends.machine import refusal
from llm_icl.backends.vllm.engine import VllmModel
from llm_icl.backends.vllm.managed import ManagedVllmServer
from llm_icl.backends.vllm.options import engine_arguments
from llm_icl.errors import RequestError


@backends.register("vllm")
class Vllm(VllmModel):
    """Options: dtype, quantization, tensor-parallel, pipeline-parallel, data-parallel, executor (mp, or ray for several
    nodes), memory-share, context, revision, eager, chat, and server (true: a server is started for the work, or used
    where one runs) with its port and timeout.
    """

    @classmethod
    def check(cls, entry: ModelEntry) -> None:
        engine_arguments(entry)
        if reason := refusal(entry):
            raise RequestError(reason)

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> LanguageModel:
        options = dict(entry.options)
        # The engine spreads data over processes of its own only as a server.
        if options.get("server") or options.get("data-parallel", 1) != 1:
            return ManagedVllmServer.load(entry, logs)
        return cls(entry)
