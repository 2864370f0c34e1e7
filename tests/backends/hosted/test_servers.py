"""The replies of many servers, through the real SDK: P(y = 1) and the labels' mass, or why there are none."""

import json
import math

import numpy as np
import pytest

from llm_icl.config.specs import parse_specs
from llm_icl.prompting import load_prompt
from tests.backends.hosted.making import COMPLETED, answering
from tests.servers.payloads import ABSENT, BLANK, CHATS, COMPLETIONS, LABEL, THOUGHT, P, chat, completion, entry, legacy


@pytest.fixture
def says(monkeypatch, ask):
    """What is read from a server that sends one choice to everything."""

    def do(choice, name="gpt-4.1"):
        answering(monkeypatch, lambda body, usual: usual | {"choices": [choice]})
        asked = ask(name, mode="top")
        (status,) = set(asked.statuses[0])
        answers = asked.answers
        return status, answers.prediction[0, 0], answers.probability[0, 0], answers.mass[0, 0], asked

    return do


@pytest.mark.parametrize("server", CHATS)
def test_a_chat_gives_the_probability_at_the_place_of_the_label(says, server):
    status, label, probability, mass, _ = says(CHATS[server])
    assert (status, label) == ("ok", 1)
    assert probability == pytest.approx(2 / 3)
    assert mass == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        (chat(" 1", {"content": [entry(" ", BLANK), *LABEL]}), "gpt-4.1"),
        (completion(" 1", legacy({" ": BLANK, "1": P})), COMPLETED),
        (completion(" 1", legacy({"▁": {"▁": -0.1, "1": -3.0}, "1": P})), COMPLETED),
        (completion(" 1", legacy({"Ġ": {"Ġ": -0.1, "1": -3.0}, "1": P})), COMPLETED),
    ],
)
def test_a_label_behind_a_blank_of_its_own_counts_as_often_as_the_blank(says, choice, name):
    """0.9 of the probability is that of the labels behind it, two thirds of it of 1, which may also come at once."""
    status, label, probability, mass, _ = says(choice, name)
    assert (status, label) == ("ok", 1)
    both = 0.9 * math.exp(-0.1) + math.exp(-3)
    assert mass == pytest.approx(both)
    assert probability == pytest.approx((0.6 * math.exp(-0.1) + math.exp(-3)) / both)


@pytest.mark.parametrize("server", COMPLETIONS)
def test_a_completion_does_too(says, server):
    status, label, probability, mass, _ = says(COMPLETIONS[server], COMPLETED)
    assert (status, label) == ("ok", 1)
    assert probability == pytest.approx(2 / 3)
    assert mass == pytest.approx(0.9)


@pytest.mark.parametrize("server", ABSENT)
def test_without_readable_log_probabilities_the_written_label_stands_and_the_reason_is_said(says, server):
    choice, reason = ABSENT[server]
    status, label, probability, _, asked = says(choice)
    assert (status, label) == ("ok", 1)
    assert math.isnan(probability)
    assert asked.without_probability == {reason: 2}


@pytest.mark.parametrize(
    ("choice", "status", "mass"),
    [
        (chat("the", {"content": [entry("the", {"the": -1e-9, "0": -20.0, "1": -21.0})]}), "unparseable", 2.8e-9),
        (chat("the", {"content": [entry("the", {"the": 0.0, "0": -9999.0, "1": -9999.0})]}), "unparseable", None),
        (chat("the", {"content": [entry("the", {"1": math.log(0.5), "the": math.log(0.4), "0": -5.0})]}),
         "unparseable", 0.5067),
        (chat("1.", {"content": [*LABEL, entry(".", {})]}), "unparseable", 0.9),
        (chat("10", {"content": [*LABEL, entry("0", {})]}), "unparseable", 0.9),
        (chat("１", {"content": [entry("１", {"１": math.log(0.4), "1": math.log(0.5)})]}), "unparseable", 0.5),
        (chat("", {"content": []}), "unparseable", None),
        (chat("", None), "unparseable", None),
        (chat(None, None), "unparseable", None),
        (chat(None, None, "tool_calls", tool_calls=[{"id": "a", "function": {"name": "1"}}]), "unparseable", None),
        (chat(None, {"content": LABEL}, "tool_calls", tool_calls=[{"id": "a"}]), "unparseable", None),
        (chat(None, {"content": LABEL}, "function_call", function_call={"name": "1"}), "unparseable", None),
        (chat(None, {"content": THOUGHT}, "stop", reasoning_content="1 or 0"), "truncated", None),
        (chat("<think>\n1", {"content": THOUGHT}, "length"), "truncated", None),
        (chat("<think>", {"content": THOUGHT}, "stop"), "truncated", None),
        (chat(None, None, "content_filter"), "refused", None),
        (chat(None, None, refusal="No."), "refused", None),
        (chat("1", {"content": LABEL}, "content_filter"), "refused", None),
        (chat([{"type": "refusal", "refusal": "No."}], None), "refused", None),
    ],
)  # fmt: skip
def test_where_no_label_was_written_there_is_no_answer_and_no_probability(says, choice, status, mass):
    told, label, probability, found, _ = says(choice)
    assert (told, label) == (status, -1)
    assert math.isnan(probability)
    assert found == pytest.approx(math.nan if mass is None else mass, rel=0.05, nan_ok=True)


def test_a_completion_that_was_filtered_is_refused(says):
    assert says(completion("", None, "content_filter"), COMPLETED)[0] == "refused"


def test_labels_that_are_improbable_where_one_was_written_give_no_probability(says):
    status, label, probability, mass, asked = says(
        chat("1", {"content": [entry("1", {"a": -0.01, "0": -14.0, "1": -15.5})]}), "gpt-4.1:temperature=1"
    )
    assert (status, label) == ("ok", 1)
    assert math.isnan(probability)
    assert mass == pytest.approx(math.exp(-14) + math.exp(-15.5))
    assert asked.without_probability == {"the labels have less than 1 % of the probability": 2}


CONTRADICTION = {"the log-probabilities contradict what was written": 2}
LESS, EVEN, NEVER = ({"0": math.log(1 - p), "1": math.log(p)} for p in (0.3, 0.45, 0.001))
SPELLINGS = {"1": math.log(0.4), "0": math.log(0.3), " 0": math.log(0.2)}


@pytest.mark.parametrize(
    ("name", "tops", "label", "probability"),
    [
        ("gpt-4.1", LESS, 1, None),  # greedy decoding would have written 0
        ("gpt-4.1", EVEN, 0, 0.45),  # a tie, up to rounding
        ("gpt-4.1", SPELLINGS, 0, 4 / 9),  # the likeliest token, but not the likelier label
        ("gpt-4.1:temperature=1", LESS, 0, 0.3),  # a sample
        ("gpt-4.1:temperature=1", NEVER, 1, None),  # no sample
    ],
)
def test_where_what_was_written_is_not_the_likelier_label(says, name, tops, label, probability):
    status, found, p, _, asked = says(chat("1", {"content": [entry("1", tops)]}), name)
    assert (status, found) == ("ok", label)
    assert p == pytest.approx(math.nan if probability is None else probability, nan_ok=True)
    assert asked.without_probability == (CONTRADICTION if probability is None else {})


def test_no_value_is_invented_for_labels_of_several_tokens(monkeypatch, ask):
    """Of "yes" in two tokens only the first is listed: "no" is not certain because of that."""
    choice = chat("yes", {"content": [entry("y", {"y": math.log(0.9), "no": math.log(0.1)}), entry("es", {})]})
    answering(monkeypatch, lambda body, usual: usual | {"choices": [choice]})
    asked = ask("gpt-4.1", load_prompt(parse_specs(["basic:labels=no/yes"])[0]), mode="top")
    assert asked.statuses == [["ok", "ok"]]
    assert (asked.answers.prediction == 1).all()
    assert np.isnan(asked.answers.probability).all()


@pytest.mark.parametrize(
    ("name", "message", "most"),
    [
        ("gpt-4.1", {"error": "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 20"}, 5),  # TGI
        ("gpt-4.1", {"error": {"message": "Requested sample logprobs of 20, which is greater than max allowed: 8"}}, 8),
        ("gpt-4.1", {"detail": "top_logprobs: Input should be less than or equal to 10"}, 10),
        ("gpt-4.1", {"error": {"message": "top_logprobs must be between 0 and 3"}}, 3),
        (COMPLETED, {"error": {"message": "logprobs must be at most 2"}}, 2),
    ],
)
def test_fewer_top_tokens_are_asked_for_where_a_server_allows_fewer(provider, ask, name, message, most):
    def fault(body, before):
        asked = max(int(body.get("logprobs") or 0), body.get("top_logprobs", 0))
        return f"400 {json.dumps(message)}" if asked > most else ""

    provider.fault = fault
    asked = ask(name, mode="top")
    assert asked.statuses == [["ok", "ok"]]
    assert not np.isnan(asked.answers.probability).any()
    (lowered,) = asked.model.found()["lowered"].values()
    assert lowered == most
