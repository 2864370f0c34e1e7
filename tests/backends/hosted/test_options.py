"""What the options of a model and the settings of a prompt change in what is sent."""

import dataclasses
import re

import pytest

from llm_icl.errors import RequestError
from tests.backends.hosted.making import LABEL, SYSTEM, TEMPLATE, TEXTS, WIRE, assert_same, bodies_of, model_of, turns


def test_a_server_of_another_maker_is_told_the_old_name_of_the_limit(provider, ask):
    asked = ask(model_of("openai/org/some-model", f"{provider.url}/v1"))
    assert asked.plan.mode == "top"
    assert_same(asked.bodies[1], {
        "model": "org/some-model", "messages": turns(TEXTS[1]), "max_tokens": 2, "temperature": 0,
        "stop": ["Input", "\n"], "logprobs": True, "top_logprobs": 20,
    })  # fmt: skip


OPTIONS = {
    "gpt-4.1:temperature=0.7": {"temperature": 0.7},
    "gpt-4.1:temperature=2,top=3": {"temperature": 2, "top_logprobs": 3},
    "gpt-4.1:top=0": {"logprobs": None, "top_logprobs": None},
    "gpt-5.5:temperature=0.7,top=1": {"temperature": 0.7, "top_logprobs": 1},
    "gpt-5.5:effort=low": {"reasoning": {"effort": "low"}},
    "gpt-6-astra:effort=max": {"reasoning": {"effort": "max"}},
    "claude-opus-5:effort=high": {"output_config": {"effort": "high", "format": LABEL}},
    "claude-opus-5.5:effort=max": {"output_config": {"effort": "max", "format": LABEL}},
    "claude-opus-5.5:constrained=true": {},
    "claude-opus-5.5:thinking=adaptive": {"thinking": {"type": "adaptive"}},
    "claude-opus-4.5:constrained=false": {"output_config": None, "stop_sequences": ["Input"], "max_tokens": 2},
    "claude-opus-5:constrained=false": {"output_config": None, "stop_sequences": ["Input"], "max_tokens": 2},
    "claude-opus-5.5:constrained=no": {
        "output_config": {"effort": "low"}, "stop_sequences": ["Input"], "max_tokens": 4002,
    },
}  # fmt: skip


@pytest.mark.parametrize("named", OPTIONS)
def test_an_option_changes_this_and_nothing_else(ask, named):
    asked = ask(named)
    plain = named.partition(":")[0] + (":effort=high" if named.startswith("gpt-5.5:effort") else "")
    _, expected = WIRE[next(key for key in WIRE if key[0] == plain)]
    changed = expected(TEXTS[0]) | OPTIONS[named]
    assert_same(asked.bodies[0], {key: value for key, value in changed.items() if value is not None})


def test_other_interfaces_than_the_usual_one(ask):
    assert_same(ask("gpt-4.1:api=responses").bodies[0], {
        "model": "gpt-4.1", "input": turns(TEXTS[0]), "max_output_tokens": 16, "temperature": 0, "store": False,
    })  # fmt: skip
    assert_same(ask("gpt-5.5:api=responses").bodies[0], {
        "model": "gpt-5.5", "input": turns(TEXTS[0]), "max_output_tokens": 16, "temperature": 0, "store": False,
        "reasoning": {"effort": "none"},
    })  # fmt: skip
    assert_same(ask("gpt-5.5:api=chat,effort=high").bodies[0], {
        "model": "gpt-5.5", "messages": turns(TEXTS[0]), "max_completion_tokens": 4002, "reasoning_effort": "high",
    })  # fmt: skip


@pytest.mark.parametrize(
    "named",
    [
        "gpt-4.1:temperature=-1", "gpt-4.1:temperature=hot", "gpt-4.1:temperature=true", "gpt-4.1:top=21",
        "gpt-4.1:top=-1", "gpt-4.1:top=2.5", "gpt-4.1:top=true", "gpt-4.1:api=chatty", "gpt-4.1:constrained=true",
        "gpt-4.1:colour=red", "gpt-4.1:thinking=adaptive", "claude-opus-5:temperature=0", "claude-opus-5:top=5",
        "claude-opus-5:constrained=maybe", "claude-opus-5:api=chat", "claude-opus-5:timeout=0", "gpt-4.1:timeout=x",
    ],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(provider, named):
    with pytest.raises(RequestError, match=re.escape(named.partition(":")[2].partition("=")[0])):
        model_of(named)
    assert not provider.received


@pytest.mark.parametrize(
    ("name", "temperature"),
    [
        ("gpt-4.1", 1), ("gpt-4.1:temperature=0.3", 0.3), ("gpt-4.1:temperature=0", 0), ("gpt-5.5", 1),
        ("gpt-5.5:effort=high", None), ("gpt-6-astra", None), ("claude-opus-5", None),
        ("openai/x:api=completions", 1),
    ],
)  # fmt: skip
def test_repeats_are_sampled_at_temperature_1_unless_another_is_given(ask, name, temperature):
    asked = ask(name, repeats=3)
    assert asked.plan.mode == "generate"
    first, second = asked.bodies[0], asked.bodies[3]
    assert first != second
    assert asked.bodies == [first, second] * 3
    for body in asked.bodies:
        assert body.get("temperature") == temperature
        assert not {"logprobs", "n"} & set(body)
    assert asked.answers.agreement.tolist() == [[1.0, 1.0]]


REASONED = TEMPLATE.replace("stop:", "answer: '.*{label}'\nstop:").replace("max-tokens: 2", "max-tokens: 500")


@pytest.mark.parametrize(
    ("name", "limit"), [("claude-opus-4.5", 500), ("claude-opus-5", 500), ("claude-opus-5.5", 4500)]
)
def test_an_answer_that_is_more_than_the_label_is_not_held_to_a_schema(ask, written, name, limit):
    body = ask(name, written(REASONED)).bodies[0]
    assert "format" not in body.get("output_config", {})
    assert body["stop_sequences"] == ["Input"]
    assert body["max_tokens"] == limit


@pytest.mark.parametrize(("name", "limit"), [("gpt-4.1", 500), ("gpt-5.5", 500), ("gpt-6-astra", 4500)])
def test_an_answer_that_is_more_than_the_label_is_written(ask, written, name, limit):
    asked = ask(name, written(REASONED))
    assert asked.plan.mode == "generate"
    assert {asked.bodies[0].get(key) for key in ("max_completion_tokens", "max_output_tokens")} == {limit, None}


def test_openai_takes_four_stops_and_anthropic_none_that_is_blank(ask, written):
    many = written(TEMPLATE.replace('stop: ["Input", "\\n"]', 'stop: ["a", "\\n", "  ", "b", "c", "d"]'))
    assert ask("gpt-4.1", many).bodies[0]["stop"] == ["a", "\n", "  ", "b"]
    assert ask("claude-opus-5:constrained=false", many).bodies[0]["stop_sequences"] == ["a", "b", "c", "d"]
    blank = written(TEMPLATE.replace('stop: ["Input", "\\n"]', 'stop: ["\\n", " "]'))
    assert "stop_sequences" not in ask("claude-opus-5:constrained=false", blank).bodies[0]
    none = written(TEMPLATE.replace('stop: ["Input", "\\n"]\n', ""))
    assert "stop" not in ask("gpt-4.1", none).bodies[0]


def test_labels_of_ones_own_are_those_of_the_schema(ask, written):
    prompt = dataclasses.replace(written(), labels=("nein", "ja"))
    body = ask("claude-opus-5", prompt).bodies[1]
    assert body["output_config"]["format"]["schema"]["properties"]["label"]["enum"] == ["nein", "ja"]
    assert body["messages"][0]["content"] == TEXTS[1].replace("Label: 1", "Label: ja").replace("0 or 1", "nein or ja")


def test_without_a_system_message_none_is_sent(ask, written):
    bare = written(TEMPLATE.replace(f"system: {SYSTEM}\n", ""))
    body = ask("claude-opus-5", bare).bodies[0]
    assert "system" not in body
    assert body["messages"] == [{"role": "user", "content": TEXTS[0]}]
    for name, key in (("gpt-4.1", "messages"), ("gpt-6-astra", "input")):
        assert ask(name, bare).bodies[0][key] == [{"role": "user", "content": TEXTS[0]}]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gpt-4.1:effort=high", "does not support effort="),
        ("gpt-5.5:effort=high,temperature=0.7", "does not support temperature at effort high"),
        ("gpt-6-astra:temperature=0", "does not support temperature at effort low"),
        ("gpt-4.1:temperature=nan", "temperature must be a number of at least 0"),
        ("gpt-4.1:timeout=inf", "timeout must be a number of at least 0.001"),
        ("claude-opus-5:thinking=false", "thinking=False is not one of adaptive, between_tools, disabled"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(name, message):
    with pytest.raises(RequestError, match=message):
        model_of(name)


def test_thinking_that_is_asked_for_gets_room(written):
    body = next(iter(bodies_of(model_of("claude-opus-5:thinking=adaptive"), written(), "generate")))
    assert body["max_tokens"] > 4000


def test_the_responses_interface_is_not_asked_for_probabilities():
    assert model_of("gpt-4.1:api=responses,top=5").modes == ("generate",)
