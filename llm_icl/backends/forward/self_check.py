"""Checks of a loaded language model on short sequences, before anything is asked of it.

A model must give the same outputs at every call, and what follows a token must not change the outputs up to it; else
it is refused. What only saves work (a cache that is copied and continued or cut back, a batch) is used if it gives the
probabilities of separate passes over whole sequences.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from llm_icl.backends.forward.known import Reuse
from llm_icl.backends.tokenizers import check_tokens, embeddings_of
from llm_icl.errors import RequestError
from local_models.kv_cache import forked, new_cache
from local_models.logits import logits_at

# The largest difference of a logit that counts as none, relative to the standard deviation of logits. Rounding gives
# 1e-5 in float32. In half precision these are about five steps: neighbouring numbers of usual size (16 to 32, where the
# standard deviation is about 3) are 0.016 apart in float16, 0.125 in bfloat16.
TOLERANCES = {torch.float32: 1e-3, torch.float16: 2.5e-2, torch.bfloat16: 2e-1}
# The second text follows the beginning of the first one in place of its rest.
_TEXTS = ("Input: 0 1 1 0 1\nLabel: 1\n\nInput: 1 0 0 1 1\nLabel: 0", "Find the rule, and say what follows: 10 or 01?")
_LENGTH = 16  # tokens of each sequence
_LINE = 100  # characters of an error's text, at most

# From sequences (B, T, …) to outputs (B, T, D).
Run = Callable[..., Tensor]


def check_language_model(name: str, model: Any, tokenizer: Any) -> Reuse:
    """What a causal language model of transformers may reuse. Raises RequestError if it cannot be used at all."""
    if "lsh" in (getattr(model.config, "attn_layers", None) or ()):  # beyond the length that is tried here
        raise _unusable(name, "its attention hashes tokens at random, and gives other outputs at each call")
    first, second = (_sequence(tokenizer, text, i) for i, text in enumerate(_TEXTS))
    check_tokens(name, embeddings_of(model), (first, second))
    half, vocabulary = _LENGTH // 2, model.config.get_text_config().vocab_size
    one, other = (torch.tensor([row], device=model.device) for row in (first, first[:half] + second[:half]))  # (1, T)
    # The logits of their tokens are compared, and of some others.
    some = torch.linspace(0, vocabulary - 1, _LENGTH, device=model.device).long()
    watched = torch.cat([one[0], other[0], some]).unique()

    def run(tokens: Tensor, cache: Any = None) -> Tensor:
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        return logits_at(model, tokens, positions, cache)[..., watched]

    kinds = {parameter.dtype for parameter in model.parameters()} & TOLERANCES.keys()
    dtype = max(kinds, key=TOLERANCES.__getitem__)
    with torch.inference_mode():
        whole = check_causal(name, run, one, other, dtype)
        return _reuse(model, run, torch.cat([one, other]), whole, dtype)


def _sequence(tokenizer: Any, text: str, step: int) -> list[int]:
    """The tokens of a text, repeated to _LENGTH; if the tokenizer cannot write it, tokens of its vocabulary."""
    try:
        tokens = list(tokenizer(text)["input_ids"])
    except Exception:  # which matters only for texts that will be asked
        tokens = []
    tokens = tokens or sorted(tokenizer.get_vocab().values())[step::2]
    return (tokens * _LENGTH)[:_LENGTH]


def check_causal(name: str, run: Run, one: Tensor, other: Tensor, dtype: torch.dtype) -> Tensor:
    """The outputs (2, T, D) of two sequences (1, T, …) that are alike in their first half.

    Raises RequestError unless outputs are finite, one for each token, the same at every call, and the same whatever
    follows.
    """
    half = one.shape[1] // 2
    try:
        first, second, alone = run(one), run(other), run(one[:, :half])
    except Exception as problem:  # models raise anything
        raise _unusable(name, _one_line(problem)) from None
    if first.shape[:2] != one.shape[:2]:
        raise _unusable(name, "it does not give one output for each token")
    if not first.isfinite().all():
        raise _unusable(name, "its outputs are not finite")
    if differ(second[:, :half], first[:, :half], dtype) or differ(alone, first[:, :half], dtype):
        if differ(run(one), first, dtype):
            raise _unusable(name, "it gives other outputs at each call")
        raise _unusable(name, "it is not causal: later tokens change its outputs at earlier ones")
    return torch.cat([first, second])


def _reuse(model: Any, run: Run, both: Tensor, whole: Tensor, dtype: torch.dtype) -> Reuse:
    """Try what may be reused, with two sequences (2, T) that begin alike, and their outputs (2, T, D)."""
    length = both.shape[1]
    half, quarter = length // 2, length // 4

    def batch() -> Tensor:
        return run(both)

    def fork() -> Tensor:
        """Several tokens, and then one, after the common beginning."""
        cache = new_cache(model)
        run(both[:1, :half], cache)
        groups = both.split(1) if no_batches else (both,)
        found = []
        for group in groups:
            kept = forked(cache, len(group))
            found.append(torch.cat([run(group[:, half:-1], kept), run(group[:, -1:], kept)], dim=1))
        return torch.cat(found)

    def crop() -> Tensor:
        """From the end of one sequence back into the common beginning, and on with the other."""
        cache = new_cache(model)
        run(both[:1], cache)
        if any(hasattr(layer, "recurrent_states") for layer in cache.layers):
            raise NotImplementedError("recurrent layers only go forward")
        cache.crop(quarter - length)
        return run(both[1:, quarter:], cache)

    def why_not(way: Callable[[], Tensor], expected: Tensor) -> str:
        try:
            found = way()
        except NotImplementedError as problem:
            return str(problem)
        except Exception as problem:  # caches raise anything
            return _one_line(problem)
        if not any(differ(found[:, part], expected[:, part], dtype) for part in (slice(-1), slice(-1, None))):
            return ""
        return f"probabilities differ by up to {float((found.softmax(-1) - expected.softmax(-1)).abs().max()):.2g}"

    no_batches = why_not(batch, whole)
    no_forks, no_crops = why_not(fork, whole[:, half:]), why_not(crop, whole[1:, quarter:])
    told = {
        "problems are not batched": no_batches,
        "no prefix is read once for several prompts": no_forks,
        "no cache is cut back": no_crops,
    }
    reasons = tuple(f"{what} ({why})" for what, why in told.items() if why)
    return Reuse(batches=not no_batches, forks=not no_forks, crops=not no_crops, reasons=reasons)


def differ(found: Tensor, expected: Tensor, dtype: torch.dtype) -> bool:
    """Whether outputs (B, T, D) differ by more than rounding; in half precision, at most positions of a sequence: a
    rounding may send a single token to another expert.
    """
    each = (found.float() - expected.float()).abs().amax(dim=-1) / expected.float().std()  # (B, T)
    return bool((each.amax(dim=1) if dtype == torch.float32 else each.median(dim=1).values).max() > TOLERANCES[dtype])


def _unusable(name: str, fault: str) -> RequestError:
    return RequestError(f"model '{name}' cannot be used: {fault}")


def _one_line(problem: Exception) -> str:
    text = f"{type(problem).__name__}: {(str(problem).strip().splitlines() or [''])[0]}".removesuffix(": ")
    return text if len(text) <= _LINE else f"{text[:_LINE]}…"
