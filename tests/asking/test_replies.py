"""What a reply says: written labels, both labels' log-probabilities, and the likeliest tokens of a distribution."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_icl.asking.answers import answer_plan
from llm_icl.asking.cache import CallCache
from llm_icl.asking.modes import MODES
from llm_icl.asking.modes.base import Plan, Planned
from llm_icl.asking.replies import Outcome, agreed
from llm_icl.backends.exchange import EchoRequest, Reply
from llm_icl.config.specs import parse_specs
from llm_icl.problems import STATUSES
from llm_icl.prompting import load_prompt
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems


def prompt(text):
    return load_prompt(parse_specs([text])[0])


BASIC, REASONED, WORDS = prompt("basic"), prompt("pac-step-by-step"), prompt("basic:labels=no/yes")


def read(mode, of=BASIC, **members):
    """The outcomes of a reply with these members."""
    return MODES[mode].read(Reply(**members), of)


def written(text, of=BASIC, truncated=False, **more):
    (outcome,) = read("generate", of, text=text, truncated=truncated, **more)
    assert math.isnan(outcome.probability)
    assert math.isnan(outcome.agreement)
    return outcome.label, outcome.status


def logs(probabilities):
    return {token: math.log(probability) for token, probability in probabilities.items()}


def top(probabilities, text="?", of=BASIC):
    """The outcome of the likeliest tokens, given with their probabilities, where `text` was written."""
    (outcome,) = read("top", of, tops=[logs(probabilities)], text=text, truncated=False)
    return outcome


@pytest.mark.parametrize("status", ["refused", "too_long", "error"])
def test_a_reply_with_a_status_has_it_at_all_its_positions(tmp_path, status):
    reply = Reply(status=status, message="no", text=" 1", truncated=False, tops=[logs({"1": 1})])
    request = EchoRequest(prompt="", ends=(0, 1, 2), gap=0, labels=("0", "1", ""))
    plan = Plan("echo", (Planned(0, (0, 1, 2), "", request),))
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 3, 1, 0)
    channel = SimpleNamespace(send=lambda requests, on_calls: dict.fromkeys(requests, reply))
    cache = CallCache(tmp_path / "calls.sqlite")
    answers = answer_plan(plan, {}, BASIC, problems, range(3), cache, channel).answers
    assert [STATUSES[code] for code in answers.status[0]] == [status] * 3
    assert (answers.prediction == -1).all()
    assert np.isnan(answers.probability).all()


def test_scores_are_compared_at_each_position():
    pairs = [[math.log(0.2), math.log(0.3)], [math.log(0.3), math.log(0.1)], [-3.0, -3.0]]
    outcomes = read("curve", scores=pairs)
    assert [outcome.probability for outcome in outcomes] == pytest.approx([0.6, 0.25, 0.5])
    assert [(outcome.label, outcome.status) for outcome in outcomes] == [(1, "ok"), (0, "ok"), (0, "ok")]


@pytest.mark.parametrize(
    ("zero", "one", "expected"),
    [
        (-2000.0, -2001.0, 1 / (1 + math.e)),
        (-1.0, -5000.0, 0.0),
        (-5000.0, -1.0, 1.0),
        (-math.inf, -9.0, 1.0),
        (-9.0, -math.inf, 0.0),
        (-math.inf, -math.inf, 0.5),
    ],
)
def test_scores_of_any_size_have_a_probability(zero, one, expected):
    assert read("positions", scores=[[zero, one]])[0].probability == pytest.approx(expected)


@settings(deadline=None)
@given(zero=st.floats(-800, 0), one=st.floats(-800, 0))
def test_swapping_the_labels_swaps_their_probabilities(zero, one):
    first, second = read("curve", scores=[[zero, one], [one, zero]])
    assert first.probability + second.probability == pytest.approx(1)
    assert (first.probability > 0.5) <= (one >= zero)
    assert first.label == int(first.probability > 0.5)


@pytest.mark.parametrize(
    ("text", "truncated", "label", "status"),
    [
        (" 1", False, 1, "ok"),
        (" 1", True, 1, "ok"),
        ("0", True, 0, "ok"),
        (" x", True, None, "truncated"),
        ("", True, None, "truncated"),
        ("I cannot say", False, None, "unparseable"),
        ("", False, None, "unparseable"),
        ("2", False, None, "unparseable"),
        ("10", False, None, "unparseable"),
        (" 0\nInput: 1 1\nLabel: 1", True, 0, "ok"),
        (" 1\nThe next Input: 0", False, 1, "ok"),
        (" 1Input", False, 1, "ok"),
        ("\n1", False, None, "unparseable"),  # the stop string comes first
        ("Input: 1", True, None, "unparseable"),  # the stop string ended it, not the limit
        ("x\n", True, None, "unparseable"),
    ],
)
def test_a_written_label_stands_alone_before_the_first_stop_string(text, truncated, label, status):
    assert written(text, truncated=truncated) == (label, status)


@pytest.mark.parametrize(
    ("text", "truncated", "label", "status"),
    [
        ("Input 1 drops two literals.\nThe label is\n1", False, 1, "ok"),
        ("Input 1 drops two literals.\nThe label is\n1", True, None, "truncated"),
        ("0", True, None, "truncated"),
        ("The first example has label", True, None, "truncated"),
        ("I cannot say", False, None, "unparseable"),
    ],
)
def test_reasoning_that_was_cut_off_has_not_come_to_a_label(text, truncated, label, status):
    assert written(text, REASONED, truncated) == (label, status)


@pytest.mark.parametrize(
    ("text", "label", "status"),
    [(" yes", 1, "ok"), ("no\n", 0, "ok"), (" 1", None, "unparseable"), ("yesno", None, "unparseable")],
)
def test_labels_may_be_words(text, label, status):
    assert written(text, WORDS) == (label, status)


@pytest.mark.parametrize(
    ("text", "truncated", "label", "status"),
    [
        ('{"label": "1"}', False, 1, "ok"),
        ('{\n  "label": "0"\n}', False, 0, "ok"),
        ('{"label": 1}', False, 1, "ok"),
        ('{"label": "2"}', False, None, "unparseable"),
        ('{"lab', True, None, "truncated"),
        ('{"lab', False, None, "unparseable"),
        ('{"answer": "1"}', False, None, "unparseable"),
        ('["label", "1"]', False, None, "unparseable"),
        ('"label"', False, None, "unparseable"),
        ("null", False, None, "unparseable"),
    ],
)
def test_a_constrained_reply_holds_its_label_in_json(text, truncated, label, status):
    assert written(text, truncated=truncated, constrained=True) == (label, status)


def test_a_constrained_label_may_be_a_word():
    assert written('{"label": "yes"}', WORDS, constrained=True) == (1, "ok")


def test_what_is_in_json_without_having_been_asked_for_is_no_label():
    assert written('{"label": "1"}') == (None, "unparseable")


def test_among_the_likeliest_tokens_both_labels_are_compared():
    outcome = top({"x": 0.5, "0": 0.3, "1": 0.1})
    assert (outcome.probability, outcome.label, outcome.status) == (pytest.approx(0.25), 0, "ok")


def test_blanks_around_a_label_make_no_difference():
    outcome = top({" 1": 0.3, "1": 0.2, "\n1": 0.1, " 0": 0.1, "10": 0.1, "0.": 0.1})
    assert (outcome.probability, outcome.label) == (pytest.approx(6 / 7), 1)


def test_the_likeliest_tokens_are_searched_for_the_words_that_were_asked_for():
    outcome = top({" yes": 0.2, "no": 0.6, "1": 0.1, "Yes": 0.05}, of=WORDS)
    assert (outcome.probability, outcome.label) == (pytest.approx(0.25), 0)


def test_each_position_has_likeliest_tokens_of_its_own():
    tops = [logs({"1": 0.6, "0": 0.2}), None, logs({"0": 0.9, "1": 0.1}), logs({"x": 1.0})]
    outcomes = read("echo", tops=tops)
    assert [outcome.label for outcome in outcomes] == [1, None, 0, None]
    assert [outcome.status for outcome in outcomes] == [
        "ok",
        "error",
        "ok",
        "unparseable",
    ]  # no border where a label stands is not the model's doing
    assert outcomes[0].probability == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("text", "truncated", "label", "status"),
    [(" 1", True, 1, "ok"), ("0", False, 0, "ok"), (" x", True, None, "truncated"), ("x", False, None, "unparseable")],
)
@pytest.mark.parametrize("listed", [None, {}, {"x": 0.5, "10": 0.4, "": 0.1}])
def test_without_a_label_among_the_likeliest_tokens_counts_what_was_written(listed, text, truncated, label, status):
    tops = [listed and logs(listed)]
    (outcome,) = read("top", tops=tops, text=text, truncated=truncated)
    assert (outcome.label, outcome.status) == (label, status)
    assert math.isnan(outcome.probability)


@pytest.mark.parametrize(
    ("listed", "probability", "label"),
    [
        ({"1": 0.9, "x": 0.099}, (0.9 / 0.901 + 1) / 2, 1),  # P(0) is at most 0.001
        ({"0": 0.9, "x": 0.099}, (0.001 / 0.901 + 0) / 2, 0),
        ({" 1": 0.45, "1": 0.45, "x": 0.099}, (0.9 / 0.901 + 1) / 2, 1),
        ({"1": 0.9, "x": 0.001}, None, 1),  # "0", " 0" and others together may have more than x
        ({"1": 1.0}, 1.0, 1),
        ({"1": 0.5, "x": 0.4}, None, 1),  # P(0) is at most 0.1, and P(y = 1) anywhere from 5/6
        ({"1": 0.02, "x": 0.97}, None, 1),  # P(0) is at most 0.01
        ({"1": 0.1, "x": 0.6}, None, None),  # P(0) may be as much
    ],
)
def test_a_label_that_is_not_listed_has_no_more_than_what_the_listed_tokens_leave(listed, probability, label):
    outcome = top(listed)
    assert (outcome.label, outcome.status) == (label, "unparseable" if label is None else "ok")
    assert outcome.probability == pytest.approx(math.nan if probability is None else probability, nan_ok=True)


def test_where_one_label_is_listed_and_may_be_beaten_counts_what_was_written():
    outcome = top({"x": 0.6, "1": 0.1}, text=" 0")
    assert (outcome.label, outcome.status) == (0, "ok")
    assert math.isnan(outcome.probability)


# Tokens with weights over seven orders of magnitude, "1" and "0" perhaps among them.
weights = st.floats(-7, 0).map(lambda exponent: 10**exponent)
distributions = st.dictionaries(st.sampled_from(["0", "1", "a", "b", "c", "d", "e", "f"]), weights, min_size=1)


@settings(max_examples=500, deadline=None)
@given(distribution=distributions, count=st.integers(1, 8))
def test_what_is_read_from_the_likeliest_tokens_holds_for_the_distribution_that_they_are_from(distribution, count):
    whole = sum(distribution.values())
    probabilities = {token: weight / whole for token, weight in distribution.items()}
    zero, one = probabilities.get("0", 0.0), probabilities.get("1", 0.0)
    assume(abs(zero - one) > 1e-9)  # of equal ones either may be listed
    likeliest = sorted(probabilities, key=probabilities.get, reverse=True)[:count]
    outcome = top({token: probabilities[token] for token in likeliest})
    if outcome.label is not None:
        assert outcome.label == int(one > zero)
    if not math.isnan(outcome.probability):
        assert outcome.probability == pytest.approx(one / (zero + one), abs=0.005)
    if {"0", "1"} <= set(likeliest):
        assert outcome.probability == pytest.approx(one / (zero + one))


@settings(max_examples=500, deadline=None)
@given(
    listed=st.lists(weights, min_size=1, max_size=6),
    unlisted=st.one_of(st.just(0.0), weights),
    label=st.sampled_from("01"),
    share=st.floats(0, 1),
)
def test_for_every_completion_of_the_distribution_p_is_in_the_range_of_what_is_said(listed, unlisted, label, share):
    """One label is the first of the listed tokens, the other has all, `share` or nothing of what is not listed."""
    whole = sum(listed) + unlisted
    probabilities = [weight / whole for weight in listed]
    tokens = [label, *"abcdef"][: len(listed)]
    outcome = top(dict(zip(tokens, probabilities, strict=True)))
    own, most = probabilities[0], unlisted / whole

    def p(other):
        return own / (own + other) if label == "1" else other / (own + other)

    for other in (0.0, share * most, most):
        if outcome.label is not None and abs(other - own) > 1e-9:
            assert outcome.label == int(p(other) > 0.5)
        if not math.isnan(outcome.probability):
            assert outcome.probability == pytest.approx(p(other), abs=0.005 + 1e-9)
    width = abs(p(0.0) - p(most))
    if abs(width - 0.01) > 1e-6:
        assert math.isnan(outcome.probability) == (width > 0.01)  # what is known is told


def outcomes(*replies):
    """A label for each digit, else a status."""
    return [Outcome(label=int(reply)) if reply in ("0", "1") else Outcome(status=reply) for reply in replies]


@pytest.mark.parametrize(
    ("replies", "label", "status", "agreement"),
    [
        (["1", "1", "0"], 1, "ok", 2 / 3),
        (["1", "0", "0"], 0, "ok", 2 / 3),
        (["1", "0"], 1, "ok", 1 / 2),
        (["0", "1"], 0, "ok", 1 / 2),
        (["0", "1", "1", "0"], 0, "ok", 1 / 2),
        (["1", "1", "1"], 1, "ok", 1),
        (["refused", "truncated", "1"], 1, "ok", 1),
        (["error", "0", "unparseable", "1", "0"], 0, "ok", 2 / 3),
        (["truncated", "error"], None, "truncated", None),
        (["error", "truncated", "truncated"], None, "error", None),
    ],
)
def test_repeated_replies_give_the_label_that_most_of_them_give(replies, label, status, agreement):
    outcome = agreed(outcomes(*replies))
    assert (outcome.label, outcome.status) == (label, status)
    assert math.isnan(outcome.probability)
    if agreement is None:
        assert math.isnan(outcome.agreement)
    else:
        assert outcome.agreement == pytest.approx(agreement)


def test_a_reply_that_was_not_repeated_keeps_its_probability():
    alone = Outcome(probability=0.7, label=1)
    assert agreed([alone]) == alone
    assert math.isnan(agreed(outcomes("1")).agreement)
