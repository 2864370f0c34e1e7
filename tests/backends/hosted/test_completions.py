"""Completions: a text in, and where the server reports the tokens of the prompt, a whole curve out."""

import pytest

from tests.backends.hosted.making import COMPLETED, COMPLETIONS, TEXTS, answering, assert_same, model_of


def test_a_server_that_echoes_is_found_by_a_probe_and_asked_once_a_problem(provider, ask):
    model = model_of(COMPLETED)
    assert model.modes == ("echo", "top", "generate")
    assert [received.path for received in provider.received] == [COMPLETIONS]
    assert_same(provider.received[0].body, {
        "model": "davinci-002", "prompt": "a b", "max_tokens": 1, "logprobs": 1, "echo": True,
    })  # fmt: skip
    asked = ask(model)
    assert asked.plan.mode == "echo"
    assert [received.path for received in asked.received] == [COMPLETIONS]
    assert_same(asked.bodies, [{
        "model": "davinci-002", "prompt": f"Learn. {TEXTS[1]}", "max_tokens": 1, "temperature": 0, "logprobs": 5,
        "echo": True,
    }])  # fmt: skip


def test_completions_one_by_one(ask):
    model = model_of(COMPLETED + ",top=3,temperature=0.5")
    plain = [
        {"model": "davinci-002", "prompt": f"Learn. {text}", "max_tokens": 2, "temperature": 0.5,
         "stop": ["Input", "\n"]}
        for text in TEXTS
    ]  # fmt: skip
    assert_same(ask(model, mode="generate").bodies, plain)
    assert_same(ask(model, mode="top").bodies, [body | {"logprobs": 3} for body in plain])


def without_echo(body, usual):
    logprobs = usual["choices"][0]["logprobs"]
    for listed in logprobs.values():
        del listed[:-1]
    return usual


def without_tokens(body, usual):
    del usual["choices"][0]["logprobs"]["tokens"]
    return usual


def without_logprobs(body, usual):
    usual["choices"][0]["logprobs"] = None
    return usual


@pytest.mark.parametrize("change", [without_echo, without_tokens, without_logprobs])
def test_a_server_that_does_not_echo_is_asked_position_by_position(ask, monkeypatch, change):
    with monkeypatch.context() as patched:
        answering(patched, change)
        model = model_of(COMPLETED)
    assert model.modes == ("top", "generate")
    asked = ask(model)
    assert asked.plan.mode == "top"
    assert [body["prompt"] for body in asked.bodies] == [f"Learn. {text}" for text in TEXTS]
    assert not any("echo" in body for body in asked.bodies)


def test_a_server_that_refuses_to_echo_is_asked_position_by_position(provider, ask):
    provider.fault = lambda body, before: "refuses echo"
    asked = ask(COMPLETED)
    assert asked.plan.mode == "top"
    assert len(asked.bodies) == 2
    assert asked.model.found()["dropped"] == []


def test_only_the_interface_that_can_echo_is_probed(provider):
    for name in ("gpt-4.1", "gpt-6-astra", "claude-opus-5", COMPLETED + ",top=0"):
        model_of(name)
    assert not provider.received
