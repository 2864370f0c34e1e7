"""What may follow the name of a model that vLLM runs, and what vLLM is told of it."""

from typing import Any

from llm_icl.backends.base import ModelEntry
from llm_icl.backends.machine import tensor_parallel
from llm_icl.config.specs import only_known

# Option → argument of the engine and of the server.
ENGINE = {
    "dtype": "dtype",
    "quantization": "quantization",
    "tensor-parallel": "tensor_parallel_size",
    "pipeline-parallel": "pipeline_parallel_size",
    "data-parallel": "data_parallel_size",
    "executor": "distributed_executor_backend",  # ray for several nodes
    "memory-share": "gpu_memory_utilization",
    "context": "max_model_len",
    "revision": "revision",
    "eager": "enforce_eager",
}
OPTIONS = (*ENGINE, "chat", "server", "port", "timeout")
# Likeliest tokens reported at each place of a curve: the most that vLLM gives unless it is told otherwise. A label
# that is not among them is asked for by itself.
TOP = 20
# A curve computes the probabilities of all tokens at all places, and cannot use what is kept of earlier prompts;
# separate prompts compute one place each, and only what they do not share with the one before. Measured on a CPU
# (docs/design/vllm.md), a curve is the quicker from about this many positions of a problem on.
LEAST_CURVE = 12


def engine_arguments(entry: ModelEntry) -> dict[str, Any]:
    """What the options of an entry mean to vLLM."""
    options = dict(entry.options)
    only_known("model", entry.name, options, OPTIONS)
    arguments = {ENGINE[key]: value for key, value in options.items() if key in ENGINE}
    if not {"tensor-parallel", "pipeline-parallel"} & set(options) and (size := tensor_parallel(entry)) > 1:
        arguments["tensor_parallel_size"] = size
    return arguments
