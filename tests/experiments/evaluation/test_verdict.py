"""What verdicts say, in worlds in which it is known."""

import numpy as np
import polars as pl

from llm_icl.analysis.cells import arrange
from llm_icl.analysis.comparisons import judge
from llm_icl.config.specs import parse_specs
from llm_icl.experiments.evaluation.reports.verdict import comparisons, left_out, verdict
from llm_icl.problems import SHUFFLED
from llm_icl.tasks.cards import load_task

TASK = load_task(parse_specs(["majority"])[0], None)
LABELS = np.random.default_rng(0).integers(0, 2, (60, 4))


def rows(learner, answers, prompt=None, status="ok"):
    """Answers (N, P) to the queries with LABELS; -1 has the given status in place of an answer."""
    problems, positions = np.indices(answers.shape)
    usable = answers.ravel() >= 0
    return pl.DataFrame(
        {
            "learner": learner, "task": "majority", "n": 3, "seed": 0,
            "prompt": pl.Series([prompt] * answers.size, dtype=pl.String),
            "problem": problems.ravel(), "position": positions.ravel(),
            "label": LABELS[: answers.shape[0], : answers.shape[1]].ravel(),
            "probability": pl.Series([None] * answers.size, dtype=pl.Float64),
            "prediction": [int(a) if a >= 0 else None for a in answers.ravel()],
            "status": np.where(usable, "ok", status), "seen": False,
        },
        schema_overrides={"n": pl.Int32, "prediction": pl.Int8},
    )  # fmt: skip


def said(*frames, one_label=None):
    (cell,) = arrange(pl.concat(frames), one_label=one_label)
    return cell, verdict(cell, TASK, "m", judge(dict(comparisons(cell, TASK))))


def noisy(share, seed=1):
    """Right with this probability."""
    return np.where(np.random.default_rng(seed).random(LABELS.shape) < share, LABELS, 1 - LABELS)


def test_a_coin_resembles_nobody_and_too_few_problems_show_nothing():
    coin = np.random.default_rng(2).integers(0, 2, (6, 4))
    _, sentences = said(rows("m", coin, "basic"), rows("nearest-neighbour", noisy(0.6)[:6]))
    text = " ".join(sentences)
    assert "agrees" not in text
    assert "not significantly" not in text
    assert "Too few problems to tell it from nearest neighbour (" in text


def test_a_clear_difference_from_bayes_is_said_with_its_interval():
    _, sentences = said(rows("m", noisy(0.6), "basic"), rows("bayes", LABELS))
    assert any(s.startswith("It is below exact Bayes, the best possible (-") for s in sentences), sentences


def test_no_answer_at_the_last_position_is_called_so():
    answers = noisy(0.7)
    answers[:, -1] = -1
    _, sentences = said(rows("m", answers, "basic", status="too_long"), rows("bayes", LABELS))
    assert sentences[0].endswith("of the queries it answered; no answer at the last position.")
    assert "nan" not in " ".join(sentences)


def test_a_model_without_any_usable_answer_is_not_compared():
    nothing = np.full(LABELS.shape, -1)
    for status in ("too_long", "unparseable"):
        _, sentences = said(rows("m", nothing, "basic", status=status), rows("bayes", LABELS))
        assert sentences == ["m: no answer that could be used."]


def test_a_shorter_run_is_compared_where_it_was_asked():
    cell, sentences = said(rows("m", noisy(0.7)[:12, :2], "basic"), rows("bayes", LABELS))
    assert "at position 1, its last" in sentences[0]
    assert dict(comparisons(cell, TASK))["m", "bayes"].problems == 12


def test_problems_of_one_label_are_no_control():
    """Where labels are all equal the control has the same prompts; these problems would dilute the difference."""
    model = noisy(0.9)
    control = np.where(np.arange(60)[:, None] < 30, model, noisy(0.5, 3))
    listed = pl.DataFrame(
        {"run": "", "task": "majority", "n": 3, "seed": 0, "problem": range(30)}, schema_overrides={"n": pl.Int32}
    )
    frames = (rows("m", model, "basic"), rows(f"m{SHUFFLED}", control, "basic"))
    cell, sentences = said(*frames, one_label=listed)
    pair = dict(comparisons(cell, TASK))["m", f"m{SHUFFLED}"]
    assert pair.problems == 30
    assert any("itself with shuffled labels" in s and "it uses the labels" in s for s in sentences)
    assert left_out(cell) == "30 of 60 problems have one label only: left out of the comparison with shuffled labels."
