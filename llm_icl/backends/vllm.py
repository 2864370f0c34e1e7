"""Large open models on vLLM, in this process."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_icl.backends.base import LabelScores, LanguageModel, LocalModel, Reply, backends
from llm_icl.backends.catalogue import ModelEntry
from llm_icl.backends.machine import refusal, tensor_parallel
from llm_icl.backends.tokenizers import text_for, tokens_of
from llm_icl.errors import RequestError
from llm_icl.naming import only_known
from llm_icl.prompting.layout import Curve, LabelPlace
from llm_icl.prompting.rendering import Rendered

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


@backends.register("vllm")
class VllmModel(LocalModel):
    """Options: dtype, quantization, tensor-parallel, pipeline-parallel, data-parallel, executor (mp, or ray for several
    nodes), memory-share, context, revision, eager, chat, and server (true: a server is started for the work, or used
    where one runs) with its port and timeout.
    """

    problems_at_once = 32
    texts_at_once = 256
    least_curve = LEAST_CURVE

    def __init__(self, entry: ModelEntry) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        import vllm

        self._vllm = vllm
        self._entry = entry
        self._chat = bool(dict(entry.options).get("chat", entry.chat))
        self._counts = {"prompt_tokens": 0, "cached_tokens": 0, "labels_asked_alone": 0}
        try:
            self._engine = vllm.LLM(
                model=str(Path(entry.identifier).expanduser()) if entry.fingerprint else entry.identifier,
                disable_log_stats=True,
                **engine_arguments(entry),
            )
        except Exception as problem:  # engines raise anything
            lines = str(problem).strip().splitlines() or [type(problem).__name__]
            raise RequestError(f"model '{entry.name}' cannot be loaded by vLLM: {lines[0]}") from None
        self._tokenizer = self._engine.get_tokenizer()

    @classmethod
    def check(cls, entry: ModelEntry) -> None:
        engine_arguments(entry)
        if reason := refusal(entry):
            raise RequestError(reason)

    @classmethod
    def load(cls, entry: ModelEntry, logs: Path) -> LanguageModel:
        from llm_icl.backends.vllm_server import ManagedVllmServer

        options = dict(entry.options)
        # The engine spreads data over processes of its own only as a server.
        if options.get("server") or options.get("data-parallel", 1) != 1:
            return ManagedVllmServer.load(entry, logs)
        return cls(entry)

    def identity(self) -> dict[str, Any]:
        config = self._engine.llm_engine.model_config
        return {
            "backend": "vllm",
            "identifier": self._entry.identifier,
            "weights": config.revision or self._entry.fingerprint,
            "dtype": str(config.dtype).removeprefix("torch."),
            "quantization": config.quantization,
            "chat": self._chat,
        }

    def found(self) -> dict[str, Any]:
        return dict(self._counts)

    def close(self) -> None:
        del self._engine

    @property
    def context_length(self) -> int:
        return int(self._engine.llm_engine.model_config.max_model_len)

    def as_text(self, rendered: Rendered) -> str:
        return text_for(self._tokenizer, rendered, self._chat, self._entry.name)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return tokens_of(self._tokenizer, texts)

    def score_curves(self, curves: Sequence[Curve], shared: int) -> list[list[LabelScores]]:
        """One request a curve. The last position's label comes after its end: it is the one token that is written."""
        outputs = self._run(
            [curve.tokens for curve in curves],
            [{"prompt_logprobs": TOP} | self._labels((curve.zeros[-1], curve.ones[-1])) for curve in curves],
        )
        found: list[list[LabelScores | None]] = []
        alone: list[tuple[int, int, LabelPlace]] = []
        for i, (curve, output) in enumerate(zip(curves, outputs, strict=True)):
            listed = [output.prompt_logprobs[end] for end in curve.ends[:-1]] + [output.outputs[0].logprobs[0]]
            found.append([])
            for j, (end, zero, one, top) in enumerate(zip(curve.ends, curve.zeros, curve.ones, listed, strict=True)):
                if zero in top and one in top:
                    found[i].append(LabelScores(top[zero].logprob, top[one].logprob))
                else:
                    found[i].append(None)
                    alone.append((i, j, LabelPlace(curve.tokens[:end], (zero,), (one,))))
        self._counts["labels_asked_alone"] += len(alone)
        for (i, j, _), scores in zip(alone, self.score_positions([place for _, _, place in alone]), strict=True):
            found[i][j] = scores
        return [[scores for scores in curve if scores is not None] for curve in found]

    def score_positions(self, places: Sequence[LabelPlace]) -> list[LabelScores]:
        """One request for each place and, with labels of several tokens, for each inner node of their tree."""
        nodes = list(dict.fromkeys(node for place in places for node in label_nodes(place)))
        outputs = self._run([context for context, _ in nodes], [self._labels(labels) for _, labels in nodes])
        values = {
            (context, label): output.outputs[0].logprobs[0][label].logprob
            for (context, labels), output in zip(nodes, outputs, strict=True)
            for label in labels
        }
        return [label_scores(place, values) for place in places]

    def generate(self, texts: Sequence[str], max_tokens: int, stop: Sequence[str]) -> list[Reply]:
        settings = {"max_tokens": max_tokens, "stop": list(stop), "detokenize": True}
        outputs = self._run(self.tokenize(texts), [settings] * len(texts))
        return [Reply(output.outputs[0].text, output.outputs[0].finish_reason == "length") for output in outputs]

    def _labels(self, labels: Sequence[int]) -> dict[str, Any]:
        """Log-probabilities of exactly these tokens after the prompt; unlike the likeliest ones they leave the prefix
        cache in use.
        """
        return {"logprobs": len(labels), "logprob_token_ids": list(labels)}

    def _run(self, sequences: Sequence[Sequence[int]], settings: Sequence[dict[str, Any]]) -> list[Any]:
        if not sequences:
            return []
        prompts = [{"prompt_token_ids": list(tokens)} for tokens in sequences]
        usual = {"temperature": 0.0, "max_tokens": 1, "detokenize": False}
        parameters = [self._vllm.SamplingParams(**{**usual, **some}) for some in settings]
        outputs: list[Any] = self._engine.generate(prompts, parameters, use_tqdm=False)
        for output in outputs:
            self._counts["prompt_tokens"] += len(output.prompt_token_ids)
            self._counts["cached_tokens"] += output.num_cached_tokens or 0
        return outputs


Node = tuple[tuple[int, ...], tuple[int, ...]]


def label_nodes(place: LabelPlace) -> list[Node]:
    """What must be asked to know both labels' probabilities: after which tokens, the probabilities of which."""
    nodes: list[Node] = [(place.context, (place.zero[0], place.one[0]))]
    for label in (place.zero, place.one):
        nodes += [((*place.context, *label[:k]), (label[k],)) for k in range(1, len(label))]
    return nodes


def label_scores(place: LabelPlace, values: dict[tuple[tuple[int, ...], int], float]) -> LabelScores:
    """The sums over the labels' tokens, from the log-probability of each token after what is before it."""
    zero, one = (
        sum(values[(*place.context, *label[:k]), token] for k, token in enumerate(label))
        for label in (place.zero, place.one)
    )
    return LabelScores(zero, one)
