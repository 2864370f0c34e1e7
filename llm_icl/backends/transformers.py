"""Any causal language model that transformers can load: from the hub, a local folder or a GGUF file."""

import copy
import inspect
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from llm_icl.backends.base import LocalModel, ModelEntry, backends
from llm_icl.backends.chat import ChatFormat, chat_of
from llm_icl.backends.exchange import LabelScores, Reply
from llm_icl.backends.tokenizers import tokens_of
from llm_icl.backends.weights import source_of
from llm_icl.config.specs import only_known
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import Curve, LabelPlace
from local_models.kv_cache import cached

DTYPES = ("float32", "bfloat16", "float16")
# Maximum tokens of a forward pass on a GPU: bounds the memory. A CPU takes one sequence at a time, which is as fast
# there and makes results independent of the batch.
_TOKENS_AT_ONCE = 16_384
_USUAL_CURVE = 1024
# The minimum fraction of a sequence worth caching: attention to cached keys needs a mask, which made
# a pass 7 to 46 % slower where 6 % was shared.
_WORTH_SHARING = 0.2


@backends.register("hf")
class TransformersModel(LocalModel):
    """Options: dtype (float32 on a CPU, bfloat16 on a GPU), device, revision, chat (ask in the chat format)."""

    exposes_weights = True

    def __init__(self, entry: ModelEntry) -> None:
        """Load the model. Raises RequestError if it does not exist or cannot be read."""
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        options = dict(entry.options)
        only_known("model", entry.name, options, ("dtype", "device", "revision", "chat"))
        self._torch = torch
        self._entry = entry
        self._device = str(options.get("device", "cuda" if torch.cuda.is_available() else "cpu"))
        self.problems_at_once = max(1, _TOKENS_AT_ONCE // _USUAL_CURVE) if self._device.startswith("cuda") else 1
        self._dtype = str(options.get("dtype", "bfloat16" if self._device.startswith("cuda") else "float32"))
        if self._dtype not in DTYPES:
            raise RequestError(f"model '{entry.name}': dtype={self._dtype} is not one of {', '.join(DTYPES)}")
        if not isinstance(options.get("chat", False), bool):
            raise RequestError(f"model '{entry.name}': chat must be true or false, not '{options['chat']}'")
        self.chats = bool(options.get("chat", False))
        self._shared_tokens: tuple[int, ...] = ()
        self._shared_cache: Any = None
        source, arguments = self.source(entry)
        if "revision" in options:
            arguments["revision"] = str(options["revision"])
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(source, **arguments)
            model = AutoModelForCausalLM.from_pretrained(source, dtype=getattr(torch, self._dtype), **arguments)
            self._model = model.to(self._device).eval()
        except Exception as problem:  # file readers, formats and devices raise anything
            reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0]
            raise RequestError(f"model '{entry.name}' cannot be loaded: {reason}") from None
        self._tokens = tokens_of(self._tokenizer, entry.name)
        if self.chats:
            self.chat_format  # noqa: B018  (a model without one is refused here)

    @classmethod
    def source(cls, entry: ModelEntry) -> tuple[str, dict[str, Any]]:
        return source_of(entry)

    def identity(self) -> dict[str, Any]:
        commit = getattr(self._model.config, "_commit_hash", None)
        return {
            "backend": self._entry.backend,
            "identifier": self._entry.identifier,
            "weights": self._entry.weights.get("sha256") or commit or self._entry.fingerprint,
            "dtype": self._dtype,
            "device": self._device.split(":")[0],
            "chat": self.chats,
        } | self._tokens.identity()

    def close(self) -> None:
        self._shared_cache = None
        del self._model
        if self._device.startswith("cuda"):
            self._torch.cuda.empty_cache()

    @cached_property
    def context_length(self) -> int:
        known = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return int(known or self._entry.context or self._tokenizer.model_max_length)

    @cached_property
    def _ends(self) -> set[int]:
        """The end-of-text tokens."""
        configured = self._model.generation_config.eos_token_id
        ends = configured if isinstance(configured, list) else [configured]
        return {end for end in (*ends, self._tokenizer.eos_token_id) if end is not None}

    @cached_property
    def chat_format(self) -> ChatFormat:
        return chat_of(self._tokenizer, self._entry.name)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        return self._tokens(texts)

    def score_curves(self, curves: Sequence[Curve], shared: int) -> list[list[LabelScores]]:
        torch = self._torch
        if shared < _WORTH_SHARING * len(curves[0].tokens):
            shared = 0
        prefix = self._prefix(curves[0].tokens[:shared]) if shared else None
        scores: list[list[LabelScores]] = [[] for _ in curves]
        with torch.inference_mode():
            for group in self._groups(curves):
                batch = [curves[i] for i in group]
                tokens = torch.tensor([curve.tokens[shared:] for curve in batch], device=self._device)
                cache = copy.deepcopy(prefix)
                if cache is not None:
                    cache.batch_repeat_interleave(len(batch))
                kept = torch.tensor([end - 1 - shared for end in batch[0].ends], device=self._device)
                logits = self._logits(tokens, kept, cache)  # (B, positions, vocabulary)
                for row, curve, i in zip(logits, batch, group, strict=True):
                    scores[i] = self._read(row, curve.zeros, curve.ones)
        return scores

    def attention(self, tokens: Sequence[int]) -> dict[int, Any]:
        """The attention weights (H, T, T) of every layer over one sequence, in float32 on the CPU."""
        from local_models.pretrained import plain_attention

        ids = self._torch.tensor([list(tokens)], device=self._device)
        with self._torch.inference_mode(), plain_attention(self._model):
            found = self._model(input_ids=ids, use_cache=False, output_attentions=True, logits_to_keep=1)
        weights = getattr(found, "attentions", None) or ()
        return {layer: one[0].float().cpu() for layer, one in enumerate(weights) if one is not None}

    def score_positions(self, places: Sequence[LabelPlace]) -> list[LabelScores]:
        """One context after the other; keys and values of shared prefixes are reused."""
        scores = []
        with self._torch.inference_mode():
            run = _Continuation(self)
            for place in places:
                rows = run.next_log_probabilities(place.context)
                if place.single:
                    scores.append(LabelScores(float(rows[place.zero[0]]), float(rows[place.one[0]])))
                    continue
                zero, one = (
                    float(rows[label[0]]) + run.continuation_log_probability(place.context, label)
                    for label in (place.zero, place.one)
                )
                scores.append(LabelScores(zero, one))
        return scores

    def generate(self, texts: Sequence[str], max_tokens: int, stop: Sequence[str]) -> list[Reply]:
        torch = self._torch
        replies = []
        for tokens in self.tokenize(texts):
            prompt = torch.tensor([tokens], device=self._device)
            with torch.inference_mode():
                written = self._model.generate(
                    prompt,
                    attention_mask=torch.ones_like(prompt),
                    max_new_tokens=max_tokens,
                    do_sample=False,
                    temperature=None,
                    top_p=None,
                    top_k=None,
                    pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id,
                    stop_strings=list(stop) or None,
                    tokenizer=self._tokenizer,
                )[0, len(tokens) :]
            text = self._tokenizer.decode(written, skip_special_tokens=True)
            ends = [text.index(word) for word in stop if word in text]
            cut = text[: min(ends)] if ends else text
            ended = bool(ends) or int(written[-1]) in self._ends
            replies.append(Reply(text=cut, truncated=not ended and len(written) >= max_tokens))
        return replies

    def _groups(self, curves: Sequence[Curve]) -> Iterator[list[int]]:
        """Batches of curves with the same length and label positions, within the memory limit: no padding."""
        alike: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for i, curve in enumerate(curves):
            alike.setdefault((len(curve.tokens), curve.ends), []).append(i)
        for (length, _), members in alike.items():
            size = max(1, _TOKENS_AT_ONCE // length) if self._device.startswith("cuda") else 1
            for start in range(0, len(members), size):
                yield members[start : start + size]

    def _prefix(self, tokens: Sequence[int]) -> Any:
        """The keys and values of the prefix shared by all prompts of a task, computed once."""
        from transformers import DynamicCache

        if tuple(tokens) == self._shared_tokens:
            return self._shared_cache
        cache = DynamicCache(config=self._model.config)
        with self._torch.inference_mode():
            ids = self._torch.tensor([list(tokens)], device=self._device)
            self._model(input_ids=ids, logits_to_keep=1, **cached(self._model, cache))
        self._shared_tokens, self._shared_cache = tuple(tokens), cache
        return cache

    def _logits(self, tokens: Any, kept: Any, cache: Any) -> Any:
        """The logits at the kept positions only, (B, kept, vocabulary), in float32."""
        known = inspect.signature(self._model.forward).parameters
        if "logits_to_keep" in known:
            out = self._model(input_ids=tokens, logits_to_keep=kept, **cached(self._model, cache))
            return out.logits.float()
        out = self._model(input_ids=tokens, **cached(self._model, cache))
        return out.logits[:, kept].float()

    def _read(self, logits: Any, zeros: Sequence[int], ones: Sequence[int]) -> list[LabelScores]:
        whole = self._torch.logsumexp(logits, dim=-1)
        rows = range(len(zeros))
        zero, one = logits[rows, list(zeros)] - whole, logits[rows, list(ones)] - whole
        return [LabelScores(a, b) for a, b in zip(zero.tolist(), one.tolist(), strict=True)]


class _Continuation:
    """A sequence with a KV cache: each call computes only the tokens after the common prefix with the last call."""

    def __init__(self, owner: TransformersModel) -> None:
        self._owner = owner
        self._tokens: list[int] = []
        self._cache: Any = None

    def next_log_probabilities(self, tokens: Sequence[int]) -> Any:
        """The log-probabilities of the token after `tokens`, (vocabulary,)."""
        return self._forward(tokens, 1)[-1]

    def continuation_log_probability(self, context: Sequence[int], label: Sequence[int]) -> float:
        """The sum over the tokens of the label after its first."""
        if len(label) == 1:
            return 0.0
        rows = self._forward([*context, *label[:-1]], len(label) - 1)
        return sum(float(row[token]) for row, token in zip(rows, label[1:], strict=True))

    def _forward(self, tokens: Sequence[int], last: int) -> Any:
        from transformers import DynamicCache

        owner, torch = self._owner, self._owner._torch
        limit = min(len(self._tokens), len(tokens) - last)  # the last tokens are recomputed for their logits
        common = next((i for i in range(limit) if tokens[i] != self._tokens[i]), limit)
        if self._cache is None or not self._cache.is_croppable:
            self._cache, common = DynamicCache(config=owner._model.config), 0
            self._cache.activate_past_recording()
        else:
            self._cache.crop(common - len(self._tokens))
        self._tokens = list(tokens)
        ids = torch.tensor([self._tokens[common:]], device=owner._device)
        kept = torch.arange(len(tokens) - common - last, len(tokens) - common, device=owner._device)
        return torch.log_softmax(owner._logits(ids, kept, self._cache)[0], dim=-1)
