"""Numbers with intervals from a comparison, and what they say. The interval is over examples and over seeds."""

import math
from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import NOTHING, Estimate, crossed_mean, crossed_proportion
from llm_icl.experiments.finetuning.compared import Compared
from llm_icl.experiments.finetuning.measures import CONTROLLED, SIMAOU, Measure
from llm_icl.experiments.finetuning.methods import (
    CONTROLS,
    LAYER_CAUSAL,
    METHOD,
    OTHER,
    PUBLISHED_METHOD,
    SHUFFLED,
)
from llm_icl.experiments.finetuning.metrics import recovered

Floats = NDArray[np.float64]

SETTINGS = {"zs": "without demonstrations", "icl": "in context", "ft": "finetuned"}
# What the similarity does not require where this control is at least as similar.
_NOT_REQUIRED = {OTHER: "these examples", SHUFFLED: "correct labels"}


def accuracy(compared: Compared, method: str, setting: str) -> Estimate:
    right = _right(compared, method, setting).astype(float)
    return crossed_proportion(right, np.ones_like(right))


def recovery(compared: Compared, method: str) -> tuple[Estimate, Estimate]:
    """Rec2FTP; and its null, the fraction of the queries that zero-shot and finetuning get wrong which ICL gets
    right.
    """
    zs, icl, ft = (_right(compared, method, setting) for setting in SETTINGS)
    return crossed_proportion(*recovered(zs, ft, icl)), crossed_proportion(*recovered(zs, ~ft, icl))


def recovery_gain(compared: Compared, method: str) -> Estimate:
    """Rec2FTP minus its null. With one seed the two are of different queries, so that their intervals can be combined
    (Newcombe 1998, method 10), which also holds for 100 % of a few; with several seeds it is an approximation.
    """
    found, null = recovery(compared, method)
    if not (found.known and null.known):
        return NOTHING
    gain = found.value - null.value
    below = math.hypot(found.value - found.low, null.high - null.value)
    above = math.hypot(found.high - found.value, null.value - null.low)
    return Estimate(gain, gain - below, gain + above)


def estimate(compared: Compared, method: str, measure: Measure) -> Estimate:
    values = _values(compared, method, measure)
    return NOTHING if values is None else _estimate(values)


def against_null(compared: Compared, method: str, measure: Measure) -> Estimate:
    """A measure minus its null; minus 0 where it has none."""
    values = _excess(compared, method, measure)
    return NOTHING if values is None else _estimate(values)


def difference(compared: Compared, measure: Measure, method: str, other: str) -> Estimate:
    """The excess of a measure over its null by one method minus that by another, paired by example and seed."""
    a, b = _excess(compared, method, measure), _excess(compared, other, measure)
    return NOTHING if a is None or b is None else _estimate(a - b)


def methods(compared: Compared) -> list[str]:
    return compared.answers[METHOD].unique(maintain_order=True).to_list()


def verdict(compared: Compared) -> list[str]:
    """What supports that in-context learning is implicit finetuning, and what the controls explain as well."""
    sentences = [_recovery_sentence(compared)]
    sentences += [_measure_sentence(compared, measure) for measure in CONTROLLED]
    if LAYER_CAUSAL in methods(compared):
        better = difference(compared, SIMAOU, LAYER_CAUSAL, PUBLISHED_METHOD)
        if better.known:
            sentences.append(
                f"Layer-causal gradient descent is {_sign(better)} gradient descent in {SIMAOU.name} "
                f"({_interval(better)})."
            )
    else:
        sentences.append("Layer-causal gradient descent was not run: the read-out of this model is unknown.")
    if compared.answers["seed"].n_unique() == 1:
        sentences.append(
            "Only one set of demonstrations was drawn: another may give different results, and there are no intervals."
        )
    return [sentence for sentence in sentences if sentence]


def _recovery_sentence(compared: Compared) -> str:
    found, null = recovery(compared, PUBLISHED_METHOD)
    gain = recovery_gain(compared, PUBLISHED_METHOD)
    if not gain.known:
        return ""
    return (
        f"Of the queries that zero-shot gets wrong and finetuning gets right, ICL also gets right {_percent(found)}; "
        f"of those that both get wrong, {_percent(null)}: the first is {_sign(gain)} the second."
    )


def _measure_sentence(compared: Compared, measure: Measure) -> str:
    own = estimate(compared, PUBLISHED_METHOD, measure)
    above = against_null(compared, PUBLISHED_METHOD, measure)
    if not own.known or not above.known:
        return ""
    null = f"{measure.null_name} ({_interval(above)})" if measure.null else measure.null_name
    bounds = f" [{own.low:.3f}, {own.high:.3f}]" if math.isfinite(own.low) else ""
    parts = [f"{measure.name} is {own.value:.3f}{bounds}, {_sign(above)} {null}"]
    gains = {control: difference(compared, measure, PUBLISHED_METHOD, control) for control in CONTROLS}
    gains = {control: gain for control, gain in gains.items() if gain.known}
    parts += [_against_control(CONTROLS[control], above, gain) for control, gain in gains.items()]
    return f"{'; '.join(parts)}: {_conclusion(above, gains)}."


def _against_control(control: str, above: Estimate, gain: Estimate) -> str:
    if gain.high <= 0:
        return f"{control} is at least as similar (difference {_interval(gain)})"
    if not gain.low > 0:
        return f"{control} cannot be distinguished from it (difference {_interval(gain)})"
    if not above.low > 0:
        return f"{control} is less similar (difference {_interval(gain)})"
    share = 100 * max(0.0, 1 - gain.value / above.value)
    return f"{control} reaches {share:.0f} % of this excess (difference {_interval(gain)})"


def _conclusion(above: Estimate, gains: Mapping[str, Estimate]) -> str:
    if not above.low > 0:
        return "no similarity is shown"
    if not gains:
        return "no control was run"
    not_required = [_NOT_REQUIRED[name] for name, gain in gains.items() if name in _NOT_REQUIRED and gain.high <= 0]
    if not_required:
        return f"the similarity does not require {' or '.join(not_required)}"
    if any(gain.high <= 0 for gain in gains.values()):
        return "the similarity does not require a trained model"
    if not all(gain.low > 0 for gain in gains.values()):
        return "inconclusive: the controls cannot be distinguished from finetuning"
    left = 100 * min(1.0, min(gain.value for gain in gains.values()) / above.value)
    return (
        f"{left:.1f} % of this excess remains above every control, which supports that ICL and finetuning learn the "
        "same from these examples"
    )


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


def _right(compared: Compared, method: str, setting: str) -> NDArray[np.bool_]:
    """Whether the answers are right, (E, S) over examples and seeds."""
    rows = compared.answers.filter(pl.col(METHOD) == method).sort("example", "seed")  # (E S,)
    return (rows[setting] == rows["label"]).to_numpy().reshape(-1, rows["seed"].n_unique())  # (E, S)


def _values(compared: Compared, method: str, measure: Measure) -> Floats | None:
    """(E, S), or None where the run does not have the measure."""
    chosen = (pl.col(METHOD) == method) & (pl.col("measure") == measure.name)
    rows = compared.measures.filter(chosen).sort("example", "seed")  # (E S,)
    return None if rows.is_empty() else rows["value"].to_numpy().reshape(-1, rows["seed"].n_unique())  # (E, S)


def _excess(compared: Compared, method: str, measure: Measure) -> Floats | None:
    """A measure minus its null, where it has one, (E, S)."""
    values = _values(compared, method, measure)
    if values is None or measure.null is None:
        return values
    null = _values(compared, method, measure.null)
    return None if null is None else values - null


def _estimate(values: Floats) -> Estimate:
    """Over the examples for which all seeds' values (E, S) are defined."""
    defined = np.isfinite(values).all(axis=1)  # (E,)
    return crossed_mean(values[defined]) if defined.any() else NOTHING
