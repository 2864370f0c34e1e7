"""Checks of a loaded language model on short sequences, before anything is asked of it.

A model must give the same outputs at every call, and what follows a token must not change the outputs up to it; else
it is refused. What only saves work (a cache that is copied and continued or cut back, a batch) is used if it gives the
probabilities of separate passes over whole sequences.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from llm_icl.errors import RequestError
from local_models.kv_cache import forked, new_cache
from local_models.logits import logits_at

# The largest difference of a logit that counts as none, relative to the standard deviation of logits. Rounding gives
# 1e-5 in float32. In half precision these are about five steps: neighbouring numbers of usual size (16 to 32, where the
# standard deviation is about 3) are 0.016 apart in float16, 0.125 in bfloat16.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 2.5e-2, torch.bfloat16: 2e-1}
_TEXTS = (
    "Input: 0 1 1 0 1\nLabel: 1\n\nInput: 1 0 0 1 1\nLabel: 0\n\n",
    "Input: 1 1 0 0 1\nLabel: 0\n\nInput: 0 1 1 0 0\nLabel: 1\n\n",
)
_LENGTH = 24  # tokens of each sequence
_LINE = 100  # characters of an error's text, at most

# From sequences (B, T, …) to outputs (B, T, D).
Run = Callable[..., Tensor]


@dataclass(frozen=True)
class Reuse:
    """What may be reused between passes, and why the rest may not.

    batches: several sequences in one pass. forks: the cache of a prefix, copied and continued by several sequences.
    crops: a cache that is cut back to a shorter prefix and continued.
    """

    batches: bool
    forks: bool
    crops: bool
    reasons: tuple[str, ...]


def check_language_model(name: str, model: Any, tokenizer: Any) -> Reuse:
    """What a causal language model of transformers may reuse. Raises RequestError if it cannot be used at all."""
    first, second = ((tokenizer(text)["input_ids"] * _LENGTH)[:_LENGTH] for text in _TEXTS)
    check_tokens(name, model, (first, second))
    # Two sequences (1, T) that begin alike. The logits of all their tokens are compared, and of some others.
    half, vocabulary = _LENGTH // 2, model.config.get_text_config().vocab_size
    one, other = (torch.tensor([first[:half] + rest[half:]], device=model.device) for rest in (first, second))
    some = torch.linspace(0, vocabulary - 1, _LENGTH, device=model.device).long()
    watched = torch.cat([one[0], other[0], some]).unique()

    def run(tokens: Tensor, cache: Any = None) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return logits_at(model, tokens, positions, cache)[..., watched]

    kinds = {parameter.dtype for parameter in model.parameters()}
    tolerance = max(TOLERANCES[kind] for kind in kinds if kind in TOLERANCES)
    with torch.inference_mode():
        check_causal(name, run, one, other, tolerance)
        return _reuse(lambda: new_cache(model), run, one, other, tolerance)


def check_tokens(name: str, model: Any, sequences: Iterable[Sequence[int]]) -> None:
    """Raise RequestError if a token has no embedding: the tokenizer is another model's."""
    largest = max((token for tokens in sequences for token in tokens), default=0)
    known = model.get_input_embeddings().weight.shape[0]
    if largest >= known:
        raise _unusable(name, f"its tokenizer writes token {largest}, and it has embeddings for {known}")


def check_causal(name: str, run: Run, one: Tensor, other: Tensor, tolerance: float) -> None:
    """Raise RequestError unless outputs are finite, one for each token, the same at every call, and the same whatever
    follows. The sequences (1, T, …) are alike in their first half.
    """
    half = one.shape[1] // 2
    try:
        first, again, elsewise, alone = run(one), run(one), run(other), run(one[:, :half])
    except Exception as problem:  # models raise anything
        raise _unusable(name, _one_line(problem)) from None
    if first.shape[:2] != one.shape[:2]:
        raise _unusable(name, "it does not give one output for each token")
    if not first.isfinite().all():
        raise _unusable(name, "its outputs are not finite")
    if _deviation(again, first) > tolerance:
        raise _unusable(name, "it gives other outputs at each call")
    if max(_deviation(found, first[:, :half]) for found in (elsewise[:, :half], alone)) > tolerance:
        raise _unusable(name, "it is not causal: later tokens change its outputs at earlier ones")


def _reuse(empty: Callable[[], Any], run: Run, one: Tensor, other: Tensor, tolerance: float) -> Reuse:
    """Try what may be reused; `empty` gives an empty cache."""
    length = one.shape[1]
    half, quarter = length // 2, length // 4
    both, whole = torch.cat([one, other]), torch.cat([run(one), run(other)])  # (2, T), (2, T, watched)

    def fork() -> Tensor:
        """Several tokens, then one, after a common prefix."""
        cache = empty()
        run(one[:, :half], cache)
        batches = [row[None] for row in both] if no_batches else [both]
        caches = [forked(cache, len(batch)) for batch in batches]
        pieces = (slice(half, length - 1), slice(length - 1, length))
        rows = [[run(batch[:, piece], kept) for piece in pieces] for batch, kept in zip(batches, caches, strict=True)]
        return torch.cat([torch.cat(row, dim=1) for row in rows])

    def crop() -> Tensor:
        """Back to a common prefix, and to one before it."""
        cache = empty()
        run(one, cache)
        cache.crop(half - length)
        second = run(other[:, half:], cache)
        cache.crop(quarter - length)
        return torch.cat([run(one[:, quarter:], cache)[:, half - quarter :], second])

    def why_not(way: Callable[[], Tensor], expected: Tensor) -> str:
        try:
            found = way()
        except Exception as problem:  # caches raise anything
            return _one_line(problem)
        if _deviation(found, expected) <= tolerance:
            return ""
        return f"probabilities differ by up to {float((found.softmax(-1) - expected.softmax(-1)).abs().max()):.2g}"

    no_batches = why_not(lambda: run(both), whole)
    no_forks, no_crops = why_not(fork, whole[:, half:]), why_not(crop, whole[:, half:])
    told = {
        "problems are not batched": no_batches,
        "no prefix is read once for several prompts": no_forks,
        "no cache is cut back": no_crops,
    }
    reasons = tuple(f"{what} ({why})" for what, why in told.items() if why)
    return Reuse(batches=not no_batches, forks=not no_forks, crops=not no_crops, reasons=reasons)


def _deviation(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected.float()).abs().max() / expected.float().std())


def _unusable(name: str, fault: str) -> RequestError:
    return RequestError(f"model '{name}' cannot be used: {fault}")


def _one_line(problem: Exception) -> str:
    text = f"{type(problem).__name__}: {(str(problem).strip().splitlines() or [''])[0]}".removesuffix(": ")
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"
