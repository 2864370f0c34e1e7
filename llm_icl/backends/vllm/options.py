"""The options of models that run on vLLM, and vLLM's arguments."""

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
# Top logprobs at each position of a curve: vLLM's default maximum. Labels outside them are requested separately.
TOP = 20
# A curve computes the probabilities of all tokens at all positions and cannot use the prefix cache; separate prompts
# compute one position each and reuse shared prefixes. Measured on a CPU (docs/design/vllm.md), a curve is faster from
# about this many positions per problem.
LEAST_CURVE = 12


def engine_arguments(entry: ModelEntry) -> dict[str, Any]:
    """The arguments of vLLM for the options of an entry."""
    options = dict(entry.options)
    only_known("model", entry.name, options, OPTIONS)
    arguments = {ENGINE[key]: value for key, value in options.items() if key in ENGINE}
    if not {"tensor-parallel", "pipeline-parallel"} & set(options) and (size := tensor_parallel(entry)) > 1:
        arguments["tensor_parallel_size"] = size
    return arguments
