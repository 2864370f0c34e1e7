"""Numbers with intervals from a comparison, and what they say. The unit is the example, with all seeds of it."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from llm_icl.analysis.intervals import NOTHING, Estimate, mean, proportion
from llm_icl.implicit_finetuning.comparison import LAYER_CAUSAL, PUBLISHED_WAY, Compared
from llm_icl.implicit_finetuning.metrics import recovered

SETTINGS = {"zs": "without demonstrations", "icl": "in context", "ft": "finetuned"}
# What is compared with its null and with the controls; the published form of attention's similarity beside them.
NULLS = {
    "SimAOU": "SimAOU, random direction",
    "Kendall": "Kendall, random",
    "top tokens": "top tokens, random",
    "top demonstrations": "top demonstrations, random",
}
CONTROLLED = ("SimAOU", "SimAM of changes", "SimAM of changes, after softmax", "Kendall")


def accuracy(compared: Compared, way: str, setting: str) -> Estimate:
    rows = compared.answers.filter(pl.col("way") == way)
    right = _by_example(rows.with_columns((pl.col(setting) == pl.col("label")).cast(pl.Float64).alias("value")))
    return proportion(right.sum(axis=1), np.full(len(right), right.shape[1], dtype=float))


def recovery(compared: Compared, way: str) -> tuple[Estimate, Estimate]:
    """Rec2FTP; and, its null, the share that in-context learning has right of all that the model alone had wrong."""
    rows = compared.answers.filter(pl.col("way") == way)
    counts = []
    for _, group in rows.group_by("example", maintain_order=True):
        zs, icl, ft = (group[name].to_numpy() == group["label"].to_numpy() for name in ("zs", "icl", "ft"))
        both, mended = recovered(zs, ft, icl)
        counts.append((both, mended, int((~zs & icl).sum()), int((~zs).sum())))
    both, mended, right, wrong = np.array(counts, dtype=float).T
    return proportion(both, mended), proportion(right, wrong)


def measure(compared: Compared, way: str, name: str) -> Estimate:
    values = _values(compared, way, name)
    return NOTHING if values is None else _estimate(values)


def difference(compared: Compared, name: str, way: str, other: str) -> Estimate:
    """How much greater a measure is in one way than in another, paired by example."""
    a, b = _values(compared, way, name), _values(compared, other, name)
    return NOTHING if a is None or b is None else _estimate(a - b)


def against_null(compared: Compared, way: str, name: str) -> Estimate:
    a, b = _values(compared, way, name), _values(compared, way, NULLS[name])
    return NOTHING if a is None or b is None else _estimate(a - b)


def ways(compared: Compared) -> list[str]:
    return compared.answers["way"].unique(maintain_order=True).to_list()


def verdict(compared: Compared) -> list[str]:
    """What supports that in-context learning is implicit finetuning, and what the controls explain away."""
    sentences = []
    found, null = recovery(compared, PUBLISHED_WAY)
    if found.known and null.known:
        beyond = (
            "more than"
            if found.low > null.value
            else "not distinguishable from"
            if found.high > null.value
            else "less than"
        )
        sentences.append(
            f"Of the queries that finetuning mends, in-context learning mends {100 * found.value:.1f} % "
            f"[{100 * found.low:.1f}, {100 * found.high:.1f}]: {beyond} the {100 * null.value:.1f} % of all that the "
            "model alone has wrong."
        )
    controls = [way for way in ways(compared) if way not in (PUBLISHED_WAY, LAYER_CAUSAL)]
    for name in CONTROLLED:
        own = measure(compared, PUBLISHED_WAY, name)
        if not own.known:
            continue
        low = against_null(compared, PUBLISHED_WAY, name) if name in NULLS else own
        parts = [f"{name} is {own.value:.3f} [{own.low:.3f}, {own.high:.3f}], {_sign(low)} chance"]
        explained = []
        for control in controls:
            gain = difference(compared, name, PUBLISHED_WAY, control)
            if gain.known:
                parts.append(f"{_sign(gain)} that of {CALLED.get(control, control)} ({_signed(gain.value)})")
                explained += [control] if gain.low <= 0 else []
        if low.low > 0:
            if explained:
                names = " and ".join(CALLED.get(one, one) for one in explained)
                meaning = f"so as far as these queries show, {names} {'has' if len(explained) == 1 else 'have'} as much"
            else:
                meaning = "so it supports that both learn the same from these examples" if controls else ""
            parts += [meaning] if meaning else []
        else:
            parts.append("so it shows no likeness")
        sentences.append(", ".join(parts) + ".")
    better = difference(compared, "SimAOU", LAYER_CAUSAL, PUBLISHED_WAY)
    if better.known:
        sentences.append(
            f"Layer-causal gradient descent is {_sign(better)} gradient descent in SimAOU ({_signed(better.value)} "
            f"[{_signed(better.low)}, {_signed(better.high)}])."
        )
    return sentences


# How the controls are spoken of.
CALLED = {
    "other demonstrations": "finetuning on other demonstrations",
    "shuffled labels": "finetuning on shuffled labels",
    "untrained model": "an untrained model",
}


def _signed(value: float) -> str:
    """With three decimals, or one digit where these would all be 0."""
    return f"{value:+.3f}" if abs(value) >= 5e-4 or value == 0 else f"{value:+.0e}"


def _sign(gain: Estimate) -> str:
    return "above" if gain.low > 0 else "below" if gain.high < 0 else "not distinguishable from"


def _values(compared: Compared, way: str, name: str) -> NDArray[np.float64] | None:
    """[examples, seeds], or None where there is no such measure."""
    rows = compared.measures.filter((pl.col("way") == way) & (pl.col("measure") == name))
    return None if rows.is_empty() else _by_example(rows)


def _by_example(rows: pl.DataFrame) -> NDArray[np.float64]:
    seeds = rows["seed"].n_unique()
    return rows.sort("example", "seed")["value"].to_numpy().reshape(-1, seeds)


def _estimate(values: NDArray[np.float64]) -> Estimate:
    there = ~np.isnan(values)
    return mean(np.where(there, values, 0).sum(axis=1), there.sum(axis=1).astype(float))
