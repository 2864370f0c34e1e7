"""How similar in-context learning and finetuning are: the measures of Dai et al. 2023, and corrected ones.

All take one example (or pair of settings) as plain arrays, so that intervals can be taken over examples.
zs is the model without demonstrations, icl with them in context, ft finetuned on them and then asked without them.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Right = NDArray[np.bool_]

# Relative to a vector's length, the change that float32 rounding alone can cause.
_ROUNDING = 1e-5


def recovered(zs: Right, ft: Right, icl: Right) -> tuple[Floats, Floats]:
    """Rec2FTP as hits and trials, each 0 or 1, of any shape: the trials are the queries that zero-shot gets wrong and
    finetuning gets right, the hits those of them that ICL also gets right.
    """
    trials = ~zs & ft
    return (trials & icl).astype(np.float64), trials.astype(np.float64)


def cosine(a: Floats, b: Floats) -> Floats:
    """Over the last axis; NaN where one of them is 0."""
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = np.where(norms > 0, (a * b).sum(axis=-1) / norms, np.nan)
    return found


def update_similarity(zs: Floats, icl: Floats, ft: Floats) -> Floats:
    """SimAOU: the cosine of the changes that both make to an attention layer's output, (..., D) each → (...,).

    The outputs are normalised to length 1 before their differences are taken, as published.
    """
    zs, icl, ft = (_unit(outputs) for outputs in (zs, icl, ft))
    return cosine(_change(zs, icl), _change(zs, ft))


def map_similarity(a: Floats, b: Floats) -> float:
    """SimAM of one layer as published: the cosine of attention to the query's tokens before softmax, (H, T) each,
    averaged over heads. Unlike attention, it is not invariant to a constant added to all logits of a head.
    """
    return float(np.nanmean(cosine(a, b)))


def map_change_similarity(zs: Floats, icl: Floats, ft: Floats) -> float:
    """The same of the changes that both make, after each head's logits are centred, averaged over the heads whose
    logits change in both by more than rounding.
    """
    zs, icl, ft = (_centred(logits) for logits in (zs, icl, ft))
    return _mean(cosine(_change(zs, icl), _change(zs, ft)))


def map_softmax_similarity(zs: Floats, icl: Floats, ft: Floats) -> float:
    """The same of the changes of attention after softmax over the query's tokens only, averaged over the same heads:
    also those whose attention hardly changes, since almost all of it is on one token.
    """
    zs, icl, ft = (_centred(logits) for logits in (zs, icl, ft))
    moved = _change(zs, icl).any(axis=-1) & _change(zs, ft).any(axis=-1)  # (H,)
    zs, icl, ft = zs[moved], icl[moved], ft[moved]
    return _mean(cosine(_softmax_change(zs, icl), _softmax_change(zs, ft)))


def ranks(values: Floats) -> NDArray[np.int64]:
    """Ranks from 0, the lowest; values that differ from the next one by no more than rounding share a rank."""
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order]) > _ROUNDING * np.abs(values).max(initial=0)
    found = np.zeros(len(values), dtype=np.int64)
    found[order[1:]] = np.cumsum(steps)
    return found


def rank_correlation(icl: Floats, ft: Floats) -> float:
    """Kendall's tau-b of the attention to training tokens, (T,) each, in one layer; NaN where one is constant, or where
    there are fewer than two. Values that are equal up to rounding are ties.
    """
    from scipy.stats import kendalltau

    if len(icl) < 2:
        return float("nan")
    return float(kendalltau(ranks(icl), ranks(ft)).statistic)


def overlap(icl: Floats, ft: Floats, count: int) -> float:
    """The fraction of the `count` most attended training tokens that both have in common. Ties, up to rounding, go to
    the earlier token. NaN where there are no more than `count`, since all are in common then.
    """
    if len(icl) <= count:
        return float("nan")
    best = [set(np.argsort(-ranks(attention), kind="stable")[:count].tolist()) for attention in (icl, ft)]
    return len(best[0] & best[1]) / count


def demonstrations_attention(attention: Floats, demonstrations: NDArray[np.int64]) -> Floats:
    """The softmax of the attention to training tokens (T,), summed within each demonstration: (k,), for those that the
    tokens belong to.
    """
    if not len(attention):
        return attention
    sums: Floats = np.bincount(demonstrations, weights=_softmax(attention)).astype(np.float64)
    return sums[np.unique(demonstrations)]


def _change(before: Floats, after: Floats) -> Floats:
    """The change; exactly 0 where it is no larger than rounding errors."""
    change = after - before
    rounding = _ROUNDING * np.linalg.norm(before, axis=-1, keepdims=True)
    found: Floats = np.where(np.linalg.norm(change, axis=-1, keepdims=True) > rounding, change, 0.0)
    return found


def _centred(logits: Floats) -> Floats:
    centred: Floats = logits - logits.mean(axis=-1, keepdims=True)
    return centred


def _unit(vectors: Floats) -> Floats:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def _softmax(logits: Floats) -> Floats:
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return found


def _softmax_change(before: Floats, after: Floats) -> Floats:
    """The change of the softmax over the last axis, exact to rounding also where almost all of it stays on one entry:
    p (exp(d - c) - 1) for logits that change by d, with c = log sum p exp(d), both relative to the largest entry's.
    """
    most = before.argmax(axis=-1, keepdims=True)
    moves = after - before
    moves = moves - np.take_along_axis(moves, most, axis=-1)
    shares = _softmax(before)
    found: Floats = shares * np.expm1(moves - np.log1p((shares * np.expm1(moves)).sum(axis=-1, keepdims=True)))
    return found


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
