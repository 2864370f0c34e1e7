"""What a reply says: written labels, both labels' log-probabilities, and the likeliest tokens of a distribution."""

import math
import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from llm_icl.asking.answers import answer_plan, missing_requests
from llm_icl.asking.cache import Call, CallCache, call_key
from llm_icl.asking.modes import MODES
from llm_icl.asking.modes.base import Plan, Planned
from llm_icl.asking.replies import LEAST_MASS, Outcome, agreed
from llm_icl.backends.exchange import EchoRequest, Reply, TopRequest
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


def top(probabilities, of=BASIC):
    """The outcome of the likeliest tokens, given with their probabilities, at a label's place within a prompt."""
    (outcome,) = read("echo", of, tops=[logs(probabilities)])
    return outcome


def top_where(text, probabilities, **more):
    """The same where `text` was written."""
    (outcome,) = read("top", tops=[logs(probabilities)], text=text, truncated=False, **more)
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
        (-4.0, -5.0, 1 / (1 + math.e)),
        (-1.0, -5000.0, 0.0),
        (-5000.0, -1.0, 1.0),
        (-math.inf, -2.0, 1.0),
        (-2.0, -math.inf, 0.0),
        (0.0, -math.inf, 0.0),
        (1e-7, -20.0, 0.0),  # a rounding above 0
    ],
)
def test_scores_of_any_size_have_a_probability(zero, one, expected):
    (outcome,) = read("positions", scores=[[zero, one]])
    assert outcome.probability == pytest.approx(expected, abs=1e-8)
    assert outcome.mass == pytest.approx(min(1.0, math.exp(zero) + math.exp(one)))


@pytest.mark.parametrize("mode", ["curve", "positions"])
@pytest.mark.parametrize(("zero", "one", "mass"), [(-20.0, -21.0, 2.8e-9), (-5.0, -6.0, 9.2e-3), (-9999.0, -9999.0, 0)])
def test_labels_that_a_model_would_not_write_are_no_answer(mode, zero, one, mass):
    (outcome,) = read(mode, scores=[[zero, one]])
    assert (outcome.label, outcome.status) == (None, "unparseable")
    assert math.isnan(outcome.probability)
    assert outcome.mass == pytest.approx(mass, rel=0.01)
    assert MODES[mode].fault(Reply(scores=[[zero, one]])) == ""  # it is what the model says


@pytest.mark.parametrize("mode", ["curve", "positions"])
@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ([math.nan, -1.0], "not numbers"), ([-1.0, math.nan], "not numbers"), ([math.inf, -1.0], "above 0"),
        ([-1.0, 0.5], "above 0"), ([-math.inf, -math.inf], "no probability of either label"),
        ([-0.1, -0.1], "add up to more than 1"),
    ],
)  # fmt: skip
def test_what_is_no_log_probability_is_an_error_and_the_reply_is_not_kept(mode, pair, reason):
    outcomes = read(mode, scores=[[-0.5, -1.5], pair])
    assert [outcome.status for outcome in outcomes] == ["ok", "error"]
    assert outcomes[1].label is None
    assert math.isnan(outcomes[1].probability)
    assert reason in MODES[mode].fault(Reply(scores=[[-0.5, -1.5], pair]))
    assert MODES[mode].fault(Reply(scores=[[-0.5, -1.5]])) == ""


@settings(deadline=None)
@given(share=st.floats(0, 1), mass=st.floats(0.011, 1))
def test_swapping_the_labels_swaps_their_probabilities(share, mass):
    zero, one = (math.log(p) if p else -math.inf for p in (mass * (1 - share), mass * share))
    first, second = read("curve", scores=[[zero, one], [one, zero]])
    assert first.probability + second.probability == pytest.approx(1)
    assert first.probability == pytest.approx(share, abs=1e-9)
    assert first.label == int(first.probability > 0.5)
    assert first.mass == pytest.approx(mass)


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


@pytest.mark.parametrize(
    ("text", "truncated", "label", "status"),
    [
        ("<think>\n0 or\n1\n</think>\n\n1", False, 1, "ok"),
        ("<think></think>0", True, 0, "ok"),
        ("0 or\n1</think>1\nInput", False, 1, "ok"),  # the template began the reasoning
        ("<seed:think>0</seed:think>1", False, 1, "ok"),
        ("[THINK]0[/THINK]1", False, 1, "ok"),
        ("<|channel|>analysis<|message|>0<|end|><|start|>assistant<|channel|>final<|message|>1<|return|>",
         False, 1, "ok"),
        ("<|channel|>final<|message|>1", False, 1, "ok"),
        ("<think>\n1", True, None, "truncated"),
        ("<think>\n1", False, None, "truncated"),  # a stop string ended it
        ("<|channel|>analysis<|message|>1", False, None, "truncated"),
        ("<think>0</think>", False, None, "unparseable"),
        ("I think 1", False, None, "unparseable"),
    ],
)  # fmt: skip
def test_reasoning_before_an_answer_is_left_out(text, truncated, label, status):
    assert written(text, truncated=truncated) == (label, status)


def test_among_the_likeliest_tokens_both_labels_are_compared():
    outcome = top({"x": 0.5, "0": 0.3, "1": 0.1})
    assert (outcome.probability, outcome.label, outcome.status) == (pytest.approx(0.25), 0, "ok")
    assert outcome.mass == pytest.approx(0.4)


def test_blanks_around_a_label_make_no_difference():
    outcome = top({" 1": 0.3, "1": 0.2, "\n1": 0.1, " 0": 0.1, "10": 0.1, "0.": 0.1})
    assert (outcome.probability, outcome.label) == (pytest.approx(6 / 7), 1)
    assert outcome.mass == pytest.approx(0.7)


def test_the_ways_to_store_a_token_make_no_difference():
    outcome = top({"▁1": 0.2, "Ġ1": 0.1, "<0x31>": 0.1, "1": 0.1, "Ċ0": 0.1, "１": 0.1, "³": 0.1, "①": 0.1})
    assert (outcome.probability, outcome.label) == (pytest.approx(5 / 6), 1)
    assert outcome.mass == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("labels", "listed", "probability", "label", "status"),
    [
        ("no/yes", {"y": 0.9, "no": 0.1}, None, None, "error"),  # "y" may become "yes"
        ("no/yes", {"no": 0.9, "y": 0.004, "x": 0.095}, 0.0, 0, "ok"),
        ("no/yes", {"no": 0.5, "y": 0.3, "yes": 0.1}, None, 0, "ok"),  # P is between 1/6 and 4/9
        ("no/yes", {"yes": 0.6, "no": 0.3, "you": 0.1}, 2 / 3, 1, "ok"),
        ("no/not", {"no": 0.9, "x": 0.1}, None, None, "error"),  # "no" may become "not"
        ("否/是", {"否": 0.6, "\ufffd": 0.4}, None, 0, "ok"),  # a byte of either, or of none
        ("否/是", {"åĲ¦": 0.6, "æĺ¯": 0.4}, 0.4, 0, "ok"),  # byte-level BPE
        ("0/1", {"1": 0.6, "0": 0.3, "\ufffd": 0.1}, 2 / 3, 1, "ok"),  # no label begins so
    ],
)
def test_a_token_that_may_become_a_label_is_no_evidence_against_it(labels, listed, probability, label, status):
    outcome = top(listed, of=prompt(f"basic:labels={labels}"))
    assert (outcome.label, outcome.status) == (label, status)
    assert outcome.probability == pytest.approx(math.nan if probability is None else probability, abs=5e-3, nan_ok=True)


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
    assert (outcome.label, outcome.status) == (label, "error" if label is None else "ok")
    assert outcome.probability == pytest.approx(math.nan if probability is None else probability, nan_ok=True)


def test_where_one_label_is_listed_and_may_be_beaten_counts_what_was_written():
    outcome = top_where(" 0", {"x": 0.6, "1": 0.1})
    assert (outcome.label, outcome.status) == (0, "ok")
    assert math.isnan(outcome.probability)


@pytest.mark.parametrize("text", ["the", "1.", "10", "", "１", "01", "1 0"])
def test_a_text_that_is_no_label_is_no_answer_whatever_the_likeliest_tokens_are(text):
    outcome = top_where(text, {"1": 0.6, "0": 0.3})
    assert (outcome.label, outcome.status) == (None, "unparseable")
    assert math.isnan(outcome.probability)
    assert outcome.mass == pytest.approx(0.9)


@pytest.mark.parametrize("values", [{"1": -20.0, "0": -21.0, "the": -1e-9}, {"1": -9999.0, "0": -9999.0, "the": 0.0}])
def test_labels_of_next_to_no_probability_give_none_though_one_was_written(values):
    (outcome,) = read("top", tops=[values], text="1", truncated=False)
    assert (outcome.label, outcome.status) == (1, "ok")
    assert math.isnan(outcome.probability)
    assert outcome.mass < 1e-8


@pytest.mark.parametrize(("one", "label", "probability"), [(0.3, 0, 1 / 3), (0.02, 0, 1 / 31), (0.005, 1, None)])
def test_a_sample_may_be_the_less_likely_label_but_not_an_impossible_one(one, label, probability):
    outcome = top_where("1", {"0": 0.6, "1": one})
    assert (outcome.label, outcome.status) == (label, "ok")
    assert outcome.probability == pytest.approx(math.nan if probability is None else probability, nan_ok=True)


@pytest.mark.parametrize("mode", ["top", "echo"])
@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5])
def test_top_tokens_that_have_no_log_probabilities_are_not_kept(mode, value):
    bad = Reply(tops=[{"1": -0.5, "0": -1.5}, {"1": -0.5, "x": value}], text="1")
    assert MODES[mode].fault(bad)
    assert not MODES[mode].fault(Reply(tops=[{"1": -0.5, "0": -math.inf, "x": -9999.0}], text="1"))


def test_an_echo_in_which_no_label_can_be_read_is_not_kept():
    assert MODES["echo"].fault(Reply(tops=[None, None], absent="it is empty")) == "it is empty"
    assert "not a token of its own" in MODES["echo"].fault(Reply(tops=[None, None]))
    assert not MODES["echo"].fault(Reply(tops=[None, {"1": -0.5}]))


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
    if {"0", "1"} <= set(likeliest) and zero + one >= LEAST_MASS:
        assert outcome.probability == pytest.approx(one / (zero + one))
    if zero + one < LEAST_MASS:
        assert (outcome.label, outcome.status) == (None, "unparseable")
    if not math.isnan(outcome.mass):
        assert outcome.mass == pytest.approx(sum(probabilities[token] for token in likeliest if token in "01"))


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
    if abs(width - 0.01) > 1e-6 and own > LEAST_MASS:
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
        (["refused", "truncated", "1"], 1, "ok", None),
        (["error", "0", "unparseable", "1", "0"], 0, "ok", None),
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


@pytest.mark.parametrize(
    ("mode", "bad", "good"),
    [
        ("curve", {"scores": [[math.nan, -1.0]]}, {"scores": [[-2.0, -1.0]]}),
        ("top", {"text": "1", "tops": [{"1": math.nan}]}, {"text": "1", "tops": [{"1": -0.1, "0": -3.0}]}),
        ("echo", {"tops": [None]}, {"tops": [{"1": -0.1, "0": -3.0}]}),
    ],
)
def test_a_cached_reply_in_which_nothing_can_be_used_is_asked_for_again_and_replaced(tmp_path, mode, bad, good):
    request = EchoRequest(prompt="", ends=(0,), gap=0, labels=("",))
    plan = Plan(mode, (Planned(0, (0,), "", request),))
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 1, 1, 0)
    cache = CallCache(tmp_path / "calls.sqlite")
    key = call_key({}, request.data())
    cache.put([Call(key, request.data(), Reply(**bad))])
    asked = []

    def send(requests, on_calls):
        asked.extend(requests)
        cache.put([Call(key, request.data(), Reply(**good))])
        return {key: Reply(**good) for key in requests}

    assert list(missing_requests(plan, {}, cache)) == [key]
    for _ in range(2):
        answered = answer_plan(plan, {}, BASIC, problems, range(1), cache, SimpleNamespace(send=send))
        assert answered.answers.prediction.tolist() == [[1]]
        assert not answered.failures
    assert asked == [key]


@pytest.mark.parametrize(
    "stored",
    [
        "", "null", "5", "[]", "{", '"text"', "[" * 100_000, '{"text": 5}', '{"tops": 5}', '{"tops": [5], "text": "1"}',
        '{"tops": [{"1": "x"}], "text": "1"}', '{"tops": [], "text": "1"}',
        '{"tops": [{"1": -1}, {"1": -1}], "text": "1"}',
        '{"scores": [[1]], "text": "1"}', '{"text": "1", "status": "odd"}', '{"status": "error", "message": "lost"}',
        '{"text": "1", "usage": {"input": null}}', '{"text": "1", "usage": {"input": 1e400}, "truncated": "no"}',
        '{"text": "1", "tops": [{"1": 1' + "0" * 400 + "}]}", b"\xff\xfe",
    ],
)  # fmt: skip
def test_nothing_in_the_cache_stops_a_run(tmp_path, stored):
    request = TopRequest(prompt=[{"role": "user", "content": "?"}])
    plan = Plan("top", (Planned(0, (0,), "", request),))
    problems = draw_problems(load_task(parse_specs(["majority"])[0]), 3, 1, 1, 0)
    cache = CallCache(tmp_path / "calls.sqlite")
    key = call_key({}, request.data())
    cache.put([Call(key, request.data(), Reply(text="0"))])
    other = sqlite3.connect(tmp_path / "calls.sqlite")
    with other:
        other.execute("UPDATE calls SET reply = CAST(? AS TEXT)", (stored,))
    other.close()
    asked = []

    def send(requests, on_calls):
        asked.extend(requests)
        cache.put([Call(key, request.data(), Reply(text="1"))])
        return {key: Reply(text="1") for key in requests}

    for _ in range(2):
        answered = answer_plan(plan, {}, BASIC, problems, range(1), cache, SimpleNamespace(send=send))
        assert answered.answers.prediction.tolist() == [[1]]
    assert asked == [key]


@pytest.mark.parametrize("stored", ["", "{", "null", "[" * 100_000, b"\xff\xfe"])
def test_a_reply_is_as_good_without_the_request_that_is_stored_beside_it(tmp_path, stored):
    cache = CallCache(tmp_path / "calls.sqlite")
    cache.put([Call("k", {"prompt": "?"}, Reply(text="1"))])
    other = sqlite3.connect(tmp_path / "calls.sqlite")
    with other:
        other.execute("UPDATE calls SET request = CAST(? AS TEXT)", (stored,))
    other.close()
    assert cache.get(["k"]) == {"k": Call("k", {}, Reply(text="1"))}
