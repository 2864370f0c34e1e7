"""What the card of a model says, in worlds in which it is known."""

import re

import numpy as np
import polars as pl
import pytest

from llm_icl.analysis.cells import arrange
from llm_icl.analysis.comparisons import MARGIN, judge
from llm_icl.analysis.names import Names
from llm_icl.analysis.scores import siding
from llm_icl.experiments.evaluation.reports.cards import cards_of
from llm_icl.experiments.evaluation.reports.content import CellContent, Content
from llm_icl.experiments.evaluation.reports.verdict import comparisons
from llm_icl.problems import SHUFFLED
from tests.experiments.evaluation.test_verdict import LABELS, TASK, noisy, rows

KNOWN = {"verdict": "single", "names": ["perceptron"], "problems": 60, "answers": 200, "share": [0.9, 0.8, 0.95],
         "close": [], "left": ""}  # fmt: skip
FEW = {"verdict": "too few", "names": [], "problems": 60, "answers": 20, "needed": None}


def content_of(*cells, algorithms=({},)):
    """Of frames for each cell, at n = 3, 4, ….; `algorithms` are the verdicts on "m"."""
    arranged = [cell for i, frame in enumerate(cells) for cell in arrange(frame.with_columns(n=pl.lit(3 + i)))]
    compared = {(i, pair): one for i, cell in enumerate(arranged) for pair, one in comparisons(cell, TASK)}
    judged = judge(compared)
    found = [
        CellContent(cell, TASK, {pair: judged[i, pair] for j, pair in compared if i == j}, [], [], {}, known)
        for i, (cell, known) in enumerate(zip(arranged, algorithms, strict=True))
    ]
    mode = {"learner": "m", "prompt": "basic", "mode": "curve"}
    return Content(found, {"run": {"modes": [mode]}}, len(compared), Names())


def world(share=0.6, **given):
    others = rows("bayes", LABELS), rows("best-constant", np.ones_like(LABELS))
    return pl.concat([rows("m", noisy(share), "basic", **given), *others, rows("m" + SHUFFLED, noisy(0.5, 3), "basic")])


def test_a_card_has_the_judged_gap_to_the_best_possible_and_to_the_better_label():
    content = content_of(world(), algorithms=[{"m": KNOWN}])
    (card,) = cards_of(content)
    gap = content.cells[0].judged["m", "bayes"].shown
    said = (
        f"{-100 * gap.value:.1f} points [{-100 * gap.high:.1f}, {-100 * gap.low:.1f}] below the best possible (bayes)"
    )
    assert said in card.findings["Distance"].text
    assert "always guessing the better label" in card.findings["Distance"].text
    assert (card.of, card.where, card.findings["Distance"].badge) == ("m", "majority, n = 3", "clear")
    assert card.findings["Algorithm"].badge == "clear"
    assert "those of perceptron" in card.findings["Algorithm"].text


def test_a_small_difference_is_within_the_margin_and_on_no_side():
    constant = np.full(LABELS.shape, int(LABELS.mean() > 0.5))
    mine, right = constant.copy(), LABELS[:, 0] == constant[:, 0]
    for some in (np.flatnonzero(right)[:3], np.flatnonzero(~right)[:3]):  # three get worse, three better
        mine[some, 0] = 1 - mine[some, 0]
    frame = pl.concat([rows("m", mine, "basic"), rows("best-constant", constant)])
    content = content_of(frame, algorithms=[{}])
    assert content.cells[0].judged["m", "best-constant"].outcome == "equivalent"
    (card,) = cards_of(content)
    assert re.search(
        r"Within 5 points of always guessing the better label \([-+][\d.]+ points \[-", card.findings["Distance"].text
    )


def test_several_cells_are_a_range_with_its_ends_and_never_an_average():
    content = content_of(world(0.9), world(0.6), algorithms=[{"m": KNOWN}, {"m": FEW}])
    (card,) = cards_of(content)
    gaps = [100 * cell.judged["m", "bayes"].shown.value for cell in content.cells]
    assert max(gaps) < 0
    said = card.findings["Distance"].text
    assert re.search(rf"from {-gaps[1]:.1f} points \[[^]]*\] below \(", said)
    assert re.search(rf"to {-gaps[0]:.1f} points \[[^]]*\] below \(", said)
    assert f"{-np.mean(gaps):.1f}" not in card.findings["Distance"].text
    assert card.findings["Algorithm"].badge == "weak"
    assert "perceptron: 1 of 2 cells; too few unseen queries to tell: 1 of 2 cells" in card.findings["Algorithm"].text


def test_trust_says_what_is_resolved_and_what_a_wanted_difference_needs():
    content = content_of(world(), algorithms=[{}])
    (card,) = cards_of(content)
    judgement = content.cells[0].judged["m", "bayes"]
    assert judgement.needed_for(MARGIN) == judgement.needed
    assert f"resolves {100 * judgement.resolves:.1f} points" in card.findings["Trust"].text
    assert judgement.needed_for(0.03) > judgement.needed
    for said in ("60 problems", "All replies were answers.", "mode curve with prompt basic", "3 comparisons"):
        assert said in card.findings["Trust"].text
    assert card.findings["Algorithm"].badge == "can't tell"


def test_replies_without_an_answer_are_said_and_weaken_trust():
    answers = noisy(0.7)
    answers[:20, 0] = -1
    frame = pl.concat([world().filter(pl.col("learner") != "m"), rows("m", answers, "basic", status="unparseable")])
    (card,) = cards_of(content_of(frame, algorithms=[{}]))
    assert f"{100 * 20 / LABELS.size:.1f} % of the questions have no usable answer: " in card.findings["Trust"].text
    assert card.findings["Trust"].badge != "clear"


def test_too_few_problems_are_no_clear_distance():
    few = world().filter(pl.col("problem") < 3)
    (card,) = cards_of(content_of(few, algorithms=[{}]))
    assert card.findings["Distance"].badge == "can't tell"
    assert "too few problems to tell" in card.findings["Distance"].text
    assert card.findings["Trust"].badge == "can't tell"


def test_without_exact_bayes_no_best_possible_is_named():
    frame = world().filter(pl.col("learner") != "bayes")
    (card,) = cards_of(content_of(frame, algorithms=[{}]))
    assert "No best possible learner is known here." in card.findings["Distance"].text
    assert card.findings["Distance"].badge == "can't tell"


def test_the_side_that_a_learner_takes_is_counted_where_two_others_differ_on_unseen_queries():
    one, other = LABELS.copy(), LABELS.copy()
    other[:10] = 1 - other[:10]
    mine = one.copy()
    mine[:3] = other[:3]
    frame = pl.concat([rows("m", mine, "basic"), rows("bayes", one), rows("nearest-neighbour", other)])
    (cell,) = arrange(frame.with_columns(seen=pl.col("position") == 3))
    found = siding(cell, "m", "bayes", "nearest-neighbour")
    assert found.queries == 10 * 3
    assert found.like_first.value == pytest.approx(7 / 10)


def test_a_constant_is_told_from_one_that_sides_with_bayes():
    """Where the two differ Bayes answers 1 in seven of ten problems: so does always 1."""
    best = (np.arange(len(LABELS)) % 10 < 7).astype(int)[:, None] * np.ones_like(LABELS)
    frame = pl.concat([
        rows("m", np.ones_like(best), "basic"), rows("bayes", best), rows("nearest-neighbour", 1 - best),
    ])  # fmt: skip
    (cell,) = arrange(frame.with_columns(seen=pl.lit(False)))
    found = siding(cell, "m", "bayes", "nearest-neighbour")
    assert found.like_first.value == pytest.approx(found.one_label)
    assert 0.65 < found.one_label < 0.75
