"""What is said of an attention's perplexity, from losses made by hand."""

from functools import partial

import numpy as np
import polars as pl
import pytest

from llm_icl.analysis.effects import Effect, shown
from llm_icl.analysis.intervals import Estimate
from llm_icl.experiments.language_modelling.cards import card_of
from llm_icl.experiments.language_modelling.perplexity import change

LENGTH = WINDOW = 8


def losses(by_attention):
    """A held-out text of two windows; mean losses a token by attention and seed, the same in both windows."""
    return pl.DataFrame(
        {"attention": name, "seed": seed, "length": LENGTH, "window": window, "loss": WINDOW * loss}
        for name, values in by_attention.items()
        for seed, loss in enumerate(values)
        for window in range(2)
    )


def told(by_attention):
    found, (first, *others), seeds = losses(by_attention), by_attention, len(by_attention["softmax"])
    return shown({name: Effect(partial(change, found, name, first, LENGTH, WINDOW), seeds) for name in others})


def said(judgement, name="x"):
    own = Estimate(30.0, 29.0, 31.0)
    return card_of(name, LENGTH, own, "softmax", judgement, 4, "").findings["Perplexity"]


SOFTMAX = np.array([3.0, 3.1, 2.9, 3.05])
NOISE = np.array([0.2, -0.2, 0.1, -0.15])


def test_a_difference_that_all_seeds_have_is_said_with_its_corrected_interval():
    finding = said(told({"softmax": SOFTMAX, "x": SOFTMAX + np.log(0.8)})["x"])
    assert finding.badge == "clear"
    assert finding.text == (
        "30.00 [29.00, 31.00]. That of x is 20.00 % lower than that of softmax (-20.00 [-20.00, -20.00] %): better."
    )
    # Student's interval over four seeds, whose differences are .3, .31, .29 and .3.
    differences = np.array([0.3, 0.31, 0.29, 0.3])
    judged = told({"softmax": SOFTMAX, "y": SOFTMAX + differences})["y"]
    half = 3.182446 * np.std(differences, ddof=1) / 2
    assert list(judged.shown) == pytest.approx(np.expm1([0.3, 0.3 - half, 0.3 + half]).tolist(), rel=1e-5)
    assert said(judged, "y").text.endswith(": worse.")


def test_more_comparisons_need_clearer_differences():
    difference = SOFTMAX + np.array([-0.05, -0.06, -0.06, -0.01])
    alone = told({"softmax": SOFTMAX, "x": difference})["x"]
    noise = {f"z{i}": SOFTMAX + NOISE for i in range(9)}
    among = told({"softmax": SOFTMAX, "x": difference} | noise)["x"]
    assert (alone.outcome, among.outcome) == ("below", "too few")


def test_what_is_not_shown_is_never_called_none():
    finding = said(told({"softmax": SOFTMAX, "x": SOFTMAX + NOISE})["x"])
    assert finding.badge == "can't tell"
    assert "too few seeds to tell; these resolve " in finding.text
    assert " and 5 % takes about " in finding.text
    same = said(told({"softmax": SOFTMAX, "x": SOFTMAX + NOISE / 20})["x"])
    assert (same.badge, same.text.rsplit(": ", 1)[1]) == ("clear", "the same within 5 %.")
