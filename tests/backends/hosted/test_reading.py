"""What is read from the answers."""

import math
from itertools import chain

import numpy as np
import pytest

from llm_icl.backends.hosted.reading import json_of
from llm_icl.config.specs import parse_specs
from llm_icl.prompting import load_prompt, render
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems
from tests.backends.hosted.making import COMPLETED, answering, model_of
from tests.servers.provider import probability

MANY = draw_problems(load_task(parse_specs(["majority"])[0]), 5, 12, 4)


def truth(prompt, problems, completion):
    """P(1) of the pretended model after every prompt, [N, P]."""

    def one(problem, position):
        rendered = render(prompt, problems, problem, position)
        turns = "\n".join(message.content for message in rendered.messages())
        return probability(rendered.completion() if completion else turns)

    return np.array([[one(i, j) for j in range(problems.points)] for i in range(len(problems))])


@pytest.mark.parametrize("prompt", ["basic", "basic:labels=no/yes", "chat-turns"])
@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-5.5", "gpt-4.1:top=2"])
def test_the_probability_is_that_of_the_model_behind_the_interface(ask, monkeypatch, name, prompt):
    prompt = load_prompt(parse_specs([prompt])[0])
    if prompt.labels != ("0", "1"):
        answering(monkeypatch, saying(prompt.labels))
    asked = ask(name, prompt, MANY)
    expected = truth(prompt, MANY, completion=False)
    assert expected.std() > 0.1
    np.testing.assert_allclose(asked.answers.probability, expected, rtol=1e-9)
    np.testing.assert_array_equal(asked.answers.prediction, expected > 0.5)
    assert set(chain(*asked.statuses)) == {"ok"}


def saying(labels):
    """The pretended model with other words for its labels, with a blank or without."""

    def change(body, usual):
        first = usual["choices"][0]["logprobs"]["content"][0]
        for top in (first, *first["top_logprobs"]):
            if top["token"].strip() in ("0", "1"):
                top["token"] = f" {labels[int(top['token'])]}"
        usual["choices"][0]["message"]["content"] = first["token"]
        return usual

    return change


def test_a_label_behind_a_blank_counts_as_often_as_the_blank_and_one_in_its_place_too(ask, monkeypatch):
    def change(body, usual):
        listed = usual["choices"][0]["logprobs"]["content"]
        tops = [{"token": " ", "logprob": -0.1}, {"token": "1", "logprob": -3.0}, {"token": "0", "logprob": -4.0}]
        listed.insert(0, {"token": " ", "logprob": -0.1, "top_logprobs": tops})
        return usual

    answering(monkeypatch, change)
    prompt = load_prompt(parse_specs(["basic"])[0])
    chance, blank, one, zero = truth(prompt, MANY, completion=False), np.exp(-0.1), np.exp(-3.0), np.exp(-4.0)
    asked = ask("gpt-4.1", prompt, MANY).answers
    mass = 0.9 * blank + one + zero  # the server has 0.9 for the labels behind the blank
    np.testing.assert_allclose(asked.probability, (0.9 * blank * chance + one) / mass, rtol=1e-9)
    np.testing.assert_allclose(asked.mass, mass, rtol=1e-9)


def listing(token, value, **tops):
    return {"token": token, "logprob": math.log(value),
            "top_logprobs": [{"token": text, "logprob": math.log(p)} for text, p in tops.items()]}  # fmt: skip


@pytest.mark.parametrize("own", ["1", " 1", "▁1", "Ġ1"])
@pytest.mark.parametrize("listed", ["1", " 1", "▁1", "Ġ1"])
@pytest.mark.parametrize("rounded", [1.0, 0.9997])
def test_the_written_token_counts_once_however_it_is_spelled(ask, monkeypatch, own, listed, rounded):
    """Its entry and that among the likeliest may have the text in two forms, and round its value differently."""

    def change(body, usual):
        zero = listed.replace("1", "0")
        entry = listing(own, 0.3 * rounded, **{listed: 0.3, zero: 0.25, "the": 0.1})
        usual["choices"][0] |= {"message": {"content": "1"}, "logprobs": {"content": [entry]}}
        return usual

    answering(monkeypatch, change)
    asked = ask("gpt-4.1", load_prompt(parse_specs(["basic"])[0])).answers
    np.testing.assert_allclose(asked.probability, 0.3 / 0.55, rtol=1e-3)
    np.testing.assert_allclose(asked.mass, 0.55, rtol=1e-3)


@pytest.mark.parametrize("floor", [None, -9999.0, -3.4e38, -math.inf])
def test_a_token_alone_and_certain_is_no_probability(ask, monkeypatch, floor):
    """What servers write that compute no log-probabilities of others, or a floor in their place."""

    def change(body, usual):
        entry = listing("1", 1.0)
        if floor is not None:
            entry["top_logprobs"] += [{"token": token, "logprob": floor, "bytes": None} for token in ("0", "the")]
        usual["choices"][0]["logprobs"] = {"content": [entry]}
        usual["choices"][0]["message"]["content"] = "1"
        return usual

    answering(monkeypatch, change)
    asked = ask("gpt-4.1", load_prompt(parse_specs(["basic"])[0]))
    assert np.isnan(asked.answers.probability).all()
    assert (asked.answers.prediction == 1).all()


def test_a_curve_from_one_echo_is_the_answers_position_by_position(ask):
    prompt = load_prompt(parse_specs(["basic"])[0])
    model = model_of(COMPLETED)
    curve, single = (ask(model, prompt, MANY, mode) for mode in ("echo", "top"))
    assert (len(curve.bodies), len(single.bodies)) == (4, 48)
    expected = truth(prompt, MANY, completion=True)
    for asked in (curve, single):
        np.testing.assert_allclose(asked.answers.probability, expected, rtol=1e-9)
        np.testing.assert_array_equal(asked.answers.prediction, expected > 0.5)
    some = ask(model, prompt, MANY, "echo", positions=[2, 3, 9])
    np.testing.assert_allclose(some.answers.probability, expected[:, [2, 3, 9]], rtol=1e-9)


@pytest.mark.parametrize(
    "name",
    [
        "gpt-4.1", "gpt-5.5", "gpt-5.5:effort=high", "gpt-6-astra", "claude-opus-4.5", "claude-opus-5",
        "claude-sonnet-5.5", "claude-opus-5.5", "claude-opus-5:constrained=false",
    ],
)  # fmt: skip
def test_a_label_that_is_written_is_read_without_a_probability(ask, name):
    prompt = load_prompt(parse_specs(["basic"])[0])
    asked = ask(name, prompt, MANY, mode="generate")
    np.testing.assert_array_equal(asked.answers.prediction, truth(prompt, MANY, completion=False) > 0.5)
    assert np.isnan(asked.answers.probability).all()
    assert set(chain(*asked.statuses)) == {"ok"}


def ends(**choice):
    """A chat that ends in another way."""

    def change(body, usual):
        usual["choices"][0] |= choice
        return usual

    return change


def incomplete(reason):
    return lambda body, usual: usual | {"status": "incomplete", "incomplete_details": {"reason": reason}, "output": []}


def stops(reason):
    return lambda body, usual: usual | {"stop_reason": reason, "content": []}


@pytest.mark.parametrize(
    ("name", "mode", "change", "status"),
    [
        ("gpt-4.1", "top", ends(message={"content": None, "refusal": "No."}), "refused"),
        ("gpt-4.1", "generate", ends(message={"content": None, "refusal": "No."}), "refused"),
        ("gpt-4.1", "generate", ends(message={"content": ""}, finish_reason="content_filter"), "refused"),
        ("gpt-4.1", "generate", ends(message={"content": "The"}, finish_reason="length"), "truncated"),
        ("gpt-4.1", "generate", ends(message={"content": "The"}), "unparseable"),
        ("gpt-5.5:effort=high", "generate", incomplete("content_filter"), "refused"),
        ("gpt-5.5:effort=high", "generate", incomplete("max_output_tokens"), "truncated"),
        ("claude-opus-5", "generate", stops("refusal"), "refused"),
        ("claude-opus-5", "generate", stops("max_tokens"), "truncated"),
        ("claude-opus-5", "generate", stops("model_context_window_exceeded"), "too_long"),
        ("claude-opus-5", "generate", stops("end_turn"), "unparseable"),
    ],
)
def test_an_answer_without_a_label_is_what_the_provider_says_it_is(ask, monkeypatch, name, mode, change, status):
    answering(monkeypatch, change)
    asked = ask(name, mode=mode)
    assert asked.statuses == [[status, status]]
    assert asked.answers.prediction.tolist() == [[-1, -1]]
    assert np.isnan(asked.answers.probability).all()
    assert len(asked.bodies) == 2


def refuses_in_part(body, usual):
    """A label, and a refusal beside it."""
    if "choices" in usual:
        usual["choices"][0]["message"] |= {"content": "1", "refusal": "No."}
        return usual
    if "output" in usual:
        parts = [{"type": "output_text", "text": "1"}, {"type": "refusal", "refusal": "No."}]
        return usual | {"output": [{"type": "message", "content": parts}]}
    return usual | {"stop_reason": "refusal"}


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-4.1:top=0", "gpt-5.5:effort=high", "claude-opus-5"])
def test_a_label_beside_a_refusal_is_none(ask, monkeypatch, name):
    answering(monkeypatch, refuses_in_part)
    asked = ask(name)
    assert asked.statuses == [["refused", "refused"]]
    assert asked.answers.prediction.tolist() == [[-1, -1]]
    assert np.isnan(asked.answers.probability).all()


def test_the_parts_of_a_written_answer_belong_together(ask, monkeypatch):
    def responses(body, usual):
        text = [{"type": "output_text", "text": part} for part in ("", "1", " ")]
        return usual | {"output": [{"type": "reasoning", "summary": []}, {"type": "message", "content": text}]}

    def messages(body, usual):
        parts = [{"type": "text", "text": part} for part in ('{"label":', ' "1"}')]
        return usual | {"content": [{"type": "thinking", "thinking": '{"label": "0"}'}, *parts]}

    for name, change in (("gpt-6-astra", responses), ("claude-opus-5.5", messages)):
        with monkeypatch.context() as patched:
            answering(patched, change)
            asked = ask(name)
        assert (asked.statuses, asked.answers.prediction.tolist()) == ([["ok", "ok"]], [[1, 1]])


def test_a_number_of_too_many_digits_is_one_and_the_answer_beside_it_is_read():
    found = json_of('{"answer": "1", "id": ' + "9" * 5000 + ', "count": 12}')
    assert found == {"answer": "1", "id": math.inf, "count": 12}
    assert type(found["count"]) is int
    with pytest.raises(ValueError, match="Expecting"):
        json_of('{"answer": 1')
