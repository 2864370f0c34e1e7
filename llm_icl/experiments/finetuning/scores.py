"""Numbers with intervals from a comparison, and what they say. The interval is over examples and over seeds."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import NOTHING, Estimate, crossed_mean, crossed_proportion
from llm_icl.experiments.finetuning.comparison import LAYER_CAUSAL, OTHER, PUBLISHED_WAY, SHUFFLED, UNTRAINED, Compared
from llm_icl.experiments.finetuning.metrics import recovered

Floats = NDArray[np.float64]

SETTINGS = {"zs": "without demonstrations", "icl": "in context", "ft": "finetuned"}
# A null that each way of finetuning has for itself; the others are the model before finetuning, the same for all.
CHANCE = "chance"
# What a measure is compared with, and how that is spoken of.
NULLS = {
    "SimAOU": ("SimAOU, random change", CHANCE),
    "SimAM": ("SimAM before finetuning", "that before finetuning"),
    "SimAM of changes, after softmax": ("SimAM of changes, after softmax, random change", CHANCE),
    "Kendall": ("Kendall, not finetuned", "that before finetuning"),
    "top tokens": ("top tokens, not finetuned", "that before finetuning"),
    "top demonstrations": ("top demonstrations, not finetuned", "that before finetuning"),
}
# Of what the verdict speaks.
CONTROLLED = ("SimAOU", "SimAM of changes", "SimAM of changes, after softmax", "Kendall")
# How the controls are spoken of.
CALLED = {
    OTHER: "finetuning on other demonstrations",
    SHUFFLED: "finetuning on shuffled labels",
    UNTRAINED: "an untrained model",
}
# What a likeness does not need where a control has as much of it.
_NEEDLESS = {OTHER: "these examples", SHUFFLED: "the examples' labels"}


def null_of(name: str) -> str:
    """How the null of a measure is spoken of."""
    return NULLS[name][1] if name in NULLS else "0"


def accuracy(compared: Compared, way: str, setting: str) -> Estimate:
    right = _right(compared, way, setting).astype(float)
    return crossed_proportion(right, np.ones_like(right))


def recovery(compared: Compared, way: str) -> tuple[Estimate, Estimate]:
    """Rec2FTP; and, its null, the share that in-context learning has right of what the model alone has wrong and
    finetuning does not mend.
    """
    zs, icl, ft = (_right(compared, way, setting) for setting in SETTINGS)
    return crossed_proportion(*recovered(zs, ft, icl)), crossed_proportion(*recovered(zs, ~ft, icl))


def recovery_gain(compared: Compared, way: str) -> Estimate:
    """How much greater Rec2FTP is than its null. With one seed the queries of both are others, so that their intervals
    can be joined (Newcombe 1998, method 10), which holds at 100 % of few too; with several it is an approximation.
    """
    mended, rest = recovery(compared, way)
    if not (mended.known and rest.known):
        return NOTHING
    gain = mended.value - rest.value
    below = math.hypot(mended.value - mended.low, rest.high - rest.value)
    above = math.hypot(mended.high - mended.value, rest.value - rest.low)
    return Estimate(gain, gain - below, gain + above)


def measure(compared: Compared, way: str, name: str) -> Estimate:
    values = _values(compared, way, name)
    return NOTHING if values is None else _estimate(values)


def against_null(compared: Compared, way: str, name: str) -> Estimate:
    """How much greater a measure is than its null; than 0 where it has none."""
    values = _excess(compared, way, name)
    return NOTHING if values is None else _estimate(values)


def difference(compared: Compared, name: str, way: str, other: str) -> Estimate:
    """How much further above its null a measure is in one way than in another, paired by example and seed."""
    a, b = _excess(compared, way, name), _excess(compared, other, name)
    return NOTHING if a is None or b is None else _estimate(a - b)


def ways(compared: Compared) -> list[str]:
    return compared.answers["way"].unique(maintain_order=True).to_list()


def verdict(compared: Compared) -> list[str]:
    """What supports that in-context learning is implicit finetuning, and what the controls explain away."""
    sentences = [_recovery_sentence(compared)]
    sentences += [_measure_sentence(compared, name) for name in CONTROLLED]
    if LAYER_CAUSAL in ways(compared):
        better = difference(compared, "SimAOU", LAYER_CAUSAL, PUBLISHED_WAY)
        if better.known:
            sentences.append(
                f"Layer-causal gradient descent is {_sign(better)} gradient descent in SimAOU ({_interval(better)})."
            )
    else:
        sentences.append("Layer-causal gradient descent is not here: how this model reads out its words is not known.")
    if compared.answers["seed"].n_unique() == 1:
        sentences.append(
            "One set of demonstrations was drawn: the intervals are over queries only, and another set might say "
            "otherwise."
        )
    return [sentence for sentence in sentences if sentence]


def _recovery_sentence(compared: Compared) -> str:
    found, null = recovery(compared, PUBLISHED_WAY)
    gain = recovery_gain(compared, PUBLISHED_WAY)
    if not gain.known:
        return ""
    return (
        f"Of the queries that finetuning mends, in-context learning mends {_percent(found)}; of those that it does not "
        f"mend, {_percent(null)}: the first is {_sign(gain)} the second."
    )


def _measure_sentence(compared: Compared, name: str) -> str:
    own = measure(compared, PUBLISHED_WAY, name)
    above = against_null(compared, PUBLISHED_WAY, name)
    if not own.known or not above.known:
        return ""
    null = f"{null_of(name)} ({_interval(above)})" if name in NULLS else null_of(name)
    bounds = f" [{own.low:.3f}, {own.high:.3f}]" if math.isfinite(own.low) else ""
    parts = [f"{name} is {own.value:.3f}{bounds}, {_sign(above)} {null}"]
    gains = {way: difference(compared, name, PUBLISHED_WAY, way) for way in CALLED}
    gains = {way: gain for way, gain in gains.items() if gain.known}
    parts += [_against_control(CALLED[way], above, gain) for way, gain in gains.items()]
    return f"{'; '.join(parts)}: {_conclusion(above, gains)}."


def _against_control(control: str, above: Estimate, gain: Estimate) -> str:
    if gain.high <= 0:
        return f"{control} has as much (difference {_interval(gain)})"
    if gain.low <= 0:
        return f"{control} cannot be told from it (difference {_interval(gain)})"
    if above.low <= 0:
        return f"{control} has less (difference {_interval(gain)})"
    share = 100 * max(0.0, 1 - gain.value / above.value)
    return f"{control} has {share:.0f} % of this excess (difference {_interval(gain)})"


def _conclusion(above: Estimate, gains: Mapping[str, Estimate]) -> str:
    if above.low <= 0:
        return "no likeness is shown"
    if not gains:
        return "whether it comes from learning these examples was not controlled"
    needless = [_NEEDLESS[way] for way, gain in gains.items() if way in _NEEDLESS and gain.high <= 0]
    if needless:
        return f"the likeness does not need {' or '.join(needless)}"
    if any(gain.high <= 0 for gain in gains.values()):
        return "the likeness does not need a model that has learned anything before"
    if any(gain.low <= 0 for gain in gains.values()):
        return "these queries do not tell whether it needs these examples with their labels"
    left = 100 * min(1.0, min(gain.value for gain in gains.values()) / above.value)
    return f"the {left:.1f} % that no control has support that both learn the same from these examples"


def _sign(gain: Estimate) -> str:
    return "above" if gain.low > 0 else "below" if gain.high < 0 else "not distinguishable from"


def _interval(gain: Estimate) -> str:
    bounds = f" [{_signed(gain.low)}, {_signed(gain.high)}]" if math.isfinite(gain.low) else ""
    return f"{_signed(gain.value)}{bounds}"


def _percent(share: Estimate) -> str:
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}]"


def _signed(value: float) -> str:
    """With three decimals, or one digit where these would all be 0."""
    return f"{value:+.3f}" if abs(value) >= 5e-4 or value == 0 else f"{value:+.0e}"


def _right(compared: Compared, way: str, setting: str) -> NDArray[np.bool_]:
    """Whether the answers are right, [examples, seeds]."""
    rows = compared.answers.filter(pl.col("way") == way).sort("example", "seed")
    return (rows[setting] == rows["label"]).to_numpy().reshape(-1, rows["seed"].n_unique())


def _values(compared: Compared, way: str, name: str) -> Floats | None:
    """[examples, seeds], or None where there is no such measure."""
    rows = compared.measures.filter((pl.col("way") == way) & (pl.col("measure") == name)).sort("example", "seed")
    return None if rows.is_empty() else rows["value"].to_numpy().reshape(-1, rows["seed"].n_unique())


def _excess(compared: Compared, way: str, name: str) -> Floats | None:
    """A measure above its null, where it has one, [examples, seeds]."""
    values = _values(compared, way, name)
    if values is None or name not in NULLS:
        return values
    null = _values(compared, way, NULLS[name][0])
    return None if null is None else values - null


def _estimate(values: Floats) -> Estimate:
    """Over the examples for which it is defined with every seed."""
    there = np.isfinite(values).all(axis=1)
    return crossed_mean(values[there]) if there.any() else NOTHING
