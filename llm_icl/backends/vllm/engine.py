"""Large open models on vLLM, in this process."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from llm_icl.backends.base import LocalModel, ModelEntry
from llm_icl.backends.chat import ChatFormat, chat_of
from llm_icl.backends.exchange import LabelScores, Reply
from llm_icl.backends.tokenizers import tokens_of
from llm_icl.backends.vllm.labels import label_nodes, label_scores
from llm_icl.backends.vllm.options import LEAST_CURVE, TOP, engine_arguments
from llm_icl.backends.weights import source_of
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import Curve, LabelPlace


class VllmModel(LocalModel):
    """vLLM's engine in this process."""

    problems_at_once = 32
    texts_at_once = 256
    least_curve = LEAST_CURVE
    served_by = "vllm-server"

    def __init__(self, entry: ModelEntry) -> None:
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        import vllm

        self._vllm = vllm
        self._entry = entry
        self.chats = bool(dict(entry.options).get("chat", entry.chat))
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
        self._tokens = tokens_of(self._tokenizer, entry.name)

    @classmethod
    def source(cls, entry: ModelEntry) -> tuple[str, dict[str, Any]]:
        return source_of(entry)

    def identity(self) -> dict[str, Any]:
        config = self._engine.llm_engine.model_config
        return {
            "backend": self._entry.backend,
            "identifier": self._entry.identifier,
            "weights": config.revision or self._entry.fingerprint,
            "dtype": str(config.dtype).removeprefix("torch."),
            "quantization": config.quantization,
            "chat": self.chats,
        } | self._tokens.identity()

    def found(self) -> dict[str, Any]:
        return dict(self._counts)

    def close(self) -> None:
        del self._engine

    @property
    def context_length(self) -> int:
        return int(self._engine.llm_engine.model_config.max_model_len)

    @cached_property
    def chat_format(self) -> ChatFormat:
        return chat_of(self._tokenizer, self._entry.name)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokens(texts)

    def score_curves(self, curves: Sequence[Curve], shared: int) -> list[list[LabelScores]]:
        """One request per curve. The label of the last position is the one generated token."""
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
        """One request for each place and, for labels of several tokens, for each inner node of their prefix tree."""
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
        written = [output.outputs[0] for output in outputs]
        return [Reply(text=one.text, truncated=one.finish_reason == "length") for one in written]

    def _labels(self, labels: Sequence[int]) -> dict[str, Any]:
        """Log-probabilities of exactly these tokens after the prompt; unlike top logprobs they keep the prefix
        cache usable.
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
