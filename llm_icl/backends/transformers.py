"""Any causal language model that transformers can load: from the hub, a local folder or a GGUF file."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from llm_icl.backends.base import LocalModel, ModelEntry, backends
from llm_icl.backends.catalogue import model_names
from llm_icl.backends.chat import ChatFormat, chat_of
from llm_icl.backends.embedded import embedded_folder
from llm_icl.backends.exchange import LabelScores, Reply
from llm_icl.backends.forward import known
from llm_icl.backends.forward.prefixes import WORTH_SHARING, Prefixes
from llm_icl.backends.loading import load_model, load_tokenizer, loading
from llm_icl.backends.machine import has_gpu
from llm_icl.backends.tokenizers import check_tokens, tokens_of
from llm_icl.backends.weights import source_of
from llm_icl.config.specs import only_known
from llm_icl.errors import RequestError
from llm_icl.prompting.layout import Curve, LabelPlace
from llm_icl.prompting.rendering import Rendered
from llm_icl.runs.versions import versions
from local_models.kv_cache import new_cache
from local_models.logits import keeping, logits_at

DTYPES = ("float32", "bfloat16", "float16")
# Maximum tokens of a forward pass on a GPU: bounds the memory. A CPU takes one sequence at a time, which is as fast
# there and makes results independent of the batch.
_TOKENS_AT_ONCE = 16_384
_USUAL_CURVE = 1024


@backends.register("hf")
class TransformersModel(LocalModel):
    """Options: dtype (float32 on a CPU, bfloat16 on a GPU), device, revision, chat (ask in the chat format)."""

    exposes_weights = True

    def __init__(self, entry: ModelEntry) -> None:
        """Load the tokenizer, and the model if it is not known yet. Raises RequestError if it does not exist or cannot
        be read.
        """
        options = dict(entry.options)
        only_known("model", entry.name, options, ("dtype", "device", "revision", "chat"))
        self._entry = entry
        self._device = str(options["device"] if "device" in options else "cuda" if has_gpu() else "cpu")
        self._dtype = str(options.get("dtype", "bfloat16" if self._device.startswith("cuda") else "float32"))
        if self._dtype not in DTYPES:
            raise RequestError(f"model '{entry.name}': dtype={self._dtype} is not one of {', '.join(DTYPES)}")
        if not isinstance(options.get("chat", False), bool):
            raise RequestError(f"model '{entry.name}': chat must be true or false, not '{options['chat']}'")
        self.chats = bool(options.get("chat", False))
        self._prefixes = Prefixes(self._extended, lambda shorter, longer: not self._turns(shorter, longer))
        self._source, self._arguments = self.source(entry)
        if "revision" in options:
            self._arguments["revision"] = str(options["revision"])
        with loading(entry.name):
            self._tokenizer = load_tokenizer(self._source, self._arguments, own=bool(entry.weights))
        self._tokens = tokens_of(self._tokenizer, entry.name)
        if self.chats:
            self.chat_format  # noqa: B018  (a model without one is refused here)
        if found := known.recall(self.identity()) if self._weights else None:
            self._found = found
        else:
            self._model  # noqa: B018  (it is loaded)
        several = self._device.startswith("cuda") and self._found.reuse.batches
        self.problems_at_once = max(1, _TOKENS_AT_ONCE // _USUAL_CURVE) if several else 1

    @cached_property
    def _torch(self) -> Any:
        """Imported when something is asked: it takes a second."""
        import torch

        return torch

    @cached_property
    def _model(self) -> Any:
        """Loaded when something is asked of it, or nothing is known of it; checked whenever it is loaded."""
        from transformers import AutoModelForCausalLM

        from llm_icl.backends.forward.self_check import check_language_model

        dtype = getattr(self._torch, self._dtype)
        with loading(self._entry.name):
            model = load_model(AutoModelForCausalLM, self._entry.name, self._source, dtype, self._arguments)
            model = model.to(self._device).eval()
        reuse = check_language_model(self._entry.name, model, self._tokenizer)
        self._found = known.Known.of(model, reuse)
        if self._weights:
            known.keep(self.identity(), self._found)
        return model

    @cached_property
    def _packing(self) -> Any:
        from llm_icl.backends.forward.packing import Packing

        return Packing(self._model)

    @cached_property
    def _weights(self) -> str:
        """The content of the weights, by checksum or commit; "" where only a path and its files are known."""
        if self._entry.weights or self._entry.fingerprint:
            return str(self._entry.weights.get("sha256", ""))
        from transformers import AutoConfig

        with loading(self._entry.name):
            config = AutoConfig.from_pretrained(self._source, **self._arguments)
        return getattr(config, "_commit_hash", None) or ""

    @classmethod
    def here(cls) -> str:
        import torch

        cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        made = [entry.name for entry in model_names().values() if entry.weights and embedded_folder(entry).is_dir()]
        return f"on {', '.join(cards) or 'the CPU'}; weights of {', '.join(made) or 'no embedded model'} are made"

    @classmethod
    def source(cls, entry: ModelEntry) -> tuple[str, dict[str, Any]]:
        return source_of(entry)

    def identity(self) -> dict[str, Any]:
        return {
            "backend": self._entry.backend,
            "identifier": self._entry.identifier,
            "weights": self._weights or self._entry.fingerprint,
            "dtype": self._dtype,
            "device": self._device.split(":")[0],
            "chat": self.chats,
            "versions": {package: versions()[package] for package in ("torch", "transformers")},
        } | self._tokens.identity()

    def remarks(self, rendered: Rendered) -> tuple[str, ...]:
        return (*super().remarks(rendered), *self._found.reuse.reasons)

    @property
    def turning_length(self) -> int | None:
        return self._found.turning_length

    def close(self) -> None:
        for loaded in ("_prefixes", "_packing", "_model"):
            self.__dict__.pop(loaded, None)
        if self._device.startswith("cuda"):
            self._torch.cuda.empty_cache()

    @property
    def context_length(self) -> int:
        return int(self._found.context_length or self._entry.context or self._tokenizer.model_max_length)

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
        found = self._tokens(texts)
        check_tokens(self._entry.name, self._found.embeddings, found)
        return found

    def score_curves(self, curves: Sequence[Curve], shared: int) -> list[list[LabelScores]]:
        torch = self._torch
        longest = max(len(curve.tokens) for curve in curves)
        few = shared < WORTH_SHARING * len(curves[0].tokens)
        if few or not self._found.reuse.forks or self._turns(shared, longest):
            shared = 0
        prefix = self._prefixes.cache_of(curves[0].tokens[:shared]) if shared else None
        scores: list[list[LabelScores]] = [[] for _ in curves]
        with torch.inference_mode():
            for group in self._groups(curves, shared):
                batch = [curves[i] for i in group]
                tokens = torch.tensor([curve.tokens[shared:] for curve in batch], device=self._device)
                kept = torch.tensor([end - 1 - shared for end in batch[0].ends], device=self._device)
                if prefix is None:
                    logits = logits_at(self._model, tokens, kept)  # (B, positions, vocabulary)
                else:
                    logits = self._packing.logits(tokens, kept, prefix, shared)
                for row, curve, i in zip(logits, batch, group, strict=True):
                    scores[i] = self._read(row, curve.zeros, curve.ones)
        return scores

    def attention(self, tokens: Sequence[int]) -> dict[int, Any]:
        """The attention weights (H, T, T) of every layer over one sequence, in float32 on the CPU."""
        from local_models.pretrained import plain_attention

        ids = self._torch.tensor([list(tokens)], device=self._device)
        with self._torch.inference_mode(), plain_attention(self._model):
            found = self._model(input_ids=ids, use_cache=False, output_attentions=True, **keeping(self._model, 1))
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
        with self._torch.inference_mode():
            run = _Continuation(self)
            return [self._written(run, tokens, max_tokens, stop) for tokens in self.tokenize(texts)]

    def _written(self, run: "_Continuation", prompt: Sequence[int], max_tokens: int, stop: Sequence[str]) -> Reply:
        """The likeliest token after the other. (transformers' `generate` applies what a checkpoint's generation
        configuration asks for: penalties for repeated tokens, forced or suppressed ones, beams.)
        """
        written: list[int] = []
        for _ in range(max_tokens):
            written.append(int(run.next_log_probabilities([*prompt, *written]).argmax()))
            text = self._tokenizer.decode(written, skip_special_tokens=True)
            if ends := [text.index(word) for word in stop if word in text]:
                return Reply(text=text[: min(ends)], truncated=False)
            if written[-1] in self._ends:
                return Reply(text=text, truncated=False)
        return Reply(text=text, truncated=True)

    def _groups(self, curves: Sequence[Curve], shared: int) -> Iterator[list[int]]:
        """Batches of curves with the same length and label positions, within the memory limit: no padding. On a CPU
        sequences are passed alone, but for short ends behind a prefix that they share.
        """
        alike: dict[tuple[int, tuple[int, ...]], list[int]] = {}
        for i, curve in enumerate(curves):
            alike.setdefault((len(curve.tokens), curve.ends), []).append(i)
        for (length, _), members in alike.items():
            together = self._found.reuse.batches and (self.problems_at_once > 1 or 2 * shared > length)
            size = max(1, _TOKENS_AT_ONCE // length) if together else 1
            for start in range(0, len(members), size):
                yield members[start : start + size]

    def _extended(self, tokens: Sequence[int], cache: Any) -> Any:
        """A cache with the keys and values of further tokens; a new one for None."""
        cache = new_cache(self._model) if cache is None else cache
        ids = self._torch.tensor([list(tokens)], device=self._device)
        with self._torch.inference_mode():
            logits_at(self._model, ids, self._torch.tensor([-1], device=self._device), cache)
        return cache

    def _turns(self, shorter: int, longer: int) -> bool:
        """Whether sequences of these lengths encode their positions differently."""
        return self.turning_length is not None and shorter <= self.turning_length < longer

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
        owner, torch = self._owner, self._owner._torch
        reuse = owner._found.reuse
        limit = min(len(self._tokens), len(tokens) - last)  # the last tokens are recomputed for their logits
        common = next((i for i in range(limit) if tokens[i] != self._tokens[i]), limit)
        continues = reuse.crops or (reuse.forks and common == len(self._tokens))
        if self._cache is None or not continues or owner._turns(*sorted((len(self._tokens), len(tokens)))):
            self._cache, common = new_cache(owner._model) if reuse.forks or reuse.crops else None, 0
        elif common < len(self._tokens):
            self._cache.crop(common - len(self._tokens))
        self._tokens = list(tokens)
        ids = torch.tensor([self._tokens[common:]], device=owner._device)
        kept = torch.arange(len(tokens) - common - last, len(tokens) - common, device=owner._device)
        return torch.log_softmax(logits_at(owner._model, ids, kept, self._cache)[0], dim=-1)
