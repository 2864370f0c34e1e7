"""Completions: a text in, and where the server reports the tokens of the prompt, a whole curve out."""

import numpy as np
import pytest
from tokenizers.pre_tokenizers import ByteLevel

from llm_icl.errors import RequestError
from tests.backends.hosted.making import COMPLETED, COMPLETIONS, TEXTS, answering, assert_same, model_of
from tests.backends.hosted.test_reading import MANY, truth


def test_a_server_that_echoes_is_found_by_a_probe_and_asked_once_a_problem(provider, ask):
    model = model_of(COMPLETED)
    assert model.modes == ("echo", "top", "generate")
    assert [received.path for received in provider.received] == [COMPLETIONS]
    assert_same(provider.received[0].body, {
        "model": "davinci-002", "prompt": "Input: 0 1\nLabel: 1\nInput: 1 1\nLabel:", "max_tokens": 1, "logprobs": 1,
        "echo": True,
    })  # fmt: skip
    asked = ask(model)
    assert asked.plan.mode == "echo"
    assert [received.path for received in asked.received] == [COMPLETIONS]
    assert_same(asked.bodies, [{
        "model": "davinci-002", "prompt": f"Learn. {TEXTS[1]}", "max_tokens": 2, "temperature": 0, "logprobs": 5,
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


def each(**changes):
    """The usual answer with every token's text changed, in all its lists."""
    spell = changes["spell"]

    def change(body, usual):
        logprobs = usual["choices"][0]["logprobs"]
        logprobs["tokens"] = [spell(token) for token in logprobs["tokens"]]
        tops = logprobs["top_logprobs"]
        logprobs["top_logprobs"] = [top and {spell(token): value for token, value in top.items()} for top in tops]
        return usual

    return change


def offsets(made):
    """The usual answer with other offsets."""

    def change(body, usual):
        logprobs = usual["choices"][0]["logprobs"]
        logprobs["text_offset"] = [made(body, offset) for offset in logprobs["text_offset"]]
        return usual

    return change


def with_beginning(body, usual):
    """vLLM: the beginning-of-sequence token is echoed, and counted in the offsets, but not in the text."""
    logprobs = usual["choices"][0]["logprobs"]
    if body.get("echo"):
        logprobs["tokens"].insert(0, "<|begin_of_text|>")
        logprobs["text_offset"] = [0, *(offset + len("<|begin_of_text|>") for offset in logprobs["text_offset"])]
        logprobs["top_logprobs"].insert(0, None)
        logprobs["token_logprobs"].insert(0, None)
    return usual


def as_content(body, usual):
    """The form of chats."""
    logprobs = usual["choices"][0]["logprobs"]
    rows = zip(logprobs["tokens"], logprobs["token_logprobs"], logprobs["top_logprobs"], strict=True)
    content = [
        {"token": "", "bytes": list(token.encode()), "logprob": value,
         "top_logprobs": [{"token": text, "logprob": one} for text, one in (top or {}).items()]}
        for token, value, top in rows
    ]  # fmt: skip
    usual["choices"][0]["logprobs"] = {"content": content}
    return usual


def with_blanks_apart(body, usual):
    """Llama 2: the blank before a digit is a token of its own."""
    logprobs = usual["choices"][0]["logprobs"]
    tokens, tops = [], []
    for token, top in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True):
        if token in (" 0", " 1"):
            tokens, tops = [*tokens, "▁"], [*tops, {"▁": -0.1}]
            token, top = token.strip(), {text.strip(): value for text, value in top.items()}
        tokens.append(token.replace(" ", "▁"))
        tops.append(top)
    usual["choices"][0]["logprobs"] = {"tokens": tokens, "top_logprobs": tops, "text_offset": [-1] * len(tokens)}
    return usual


def as_bytes(token):
    ((text, _),) = ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(token)
    return text


def in_parts(body, usual):
    """Each byte of a character that is not ASCII is in another token."""
    logprobs = usual["choices"][0]["logprobs"]
    tokens, tops = [], []
    for token, top in zip(logprobs["tokens"], logprobs["top_logprobs"], strict=True):
        first, accent, rest = token.partition("é" if "é" in token else "É")
        tokens += [f"{first}\ufffd", f"\ufffd{rest}"] if accent else [token]
        tops += [top, top] if accent else [top]
    usual["choices"][0]["logprobs"] = {"tokens": tokens, "top_logprobs": tops}
    return usual


ECHOES = {
    "the prompt's characters": lambda body, usual: usual,
    "-1 (SGLang)": offsets(lambda body, offset: -1),
    "bytes": offsets(lambda body, offset: len(body["prompt"][:offset].encode())),
    "from the completion": offsets(lambda body, offset: offset - len(body["prompt"])),
    "with a beginning-of-sequence token (vLLM)": with_beginning,
    "none": lambda body, usual: usual | {"choices": [
        usual["choices"][0] | {"logprobs": {**usual["choices"][0]["logprobs"], "text_offset": None}}
    ]},
    "SentencePiece": each(spell=lambda token: token.replace(" ", "▁")),
    "byte-level BPE": each(spell=as_bytes),
    "blanks that decoding lost": each(spell=lambda token: token.removeprefix(" ")),
    "blanks apart (Llama 2)": with_blanks_apart,
    "content (llama.cpp)": as_content,
    "characters in parts": in_parts,
}  # fmt: skip

ACCENTED = """---
preamble: "Étudiez. "
stop: ["Input", "\\n"]
---
{% for example in examples %}
Entrée {{ example.input }}
Label: {{ example.label }}
{% endfor %}
Entrée {{ query }}
Label:
"""


@pytest.mark.parametrize("offsets", ECHOES)
def test_a_curve_does_not_depend_on_how_the_echo_is_written(ask, written, monkeypatch, offsets):
    answering(monkeypatch, ECHOES[offsets])
    model, prompt = model_of(COMPLETED), written(ACCENTED)
    assert model.modes[0] == "echo"
    asked = ask(model, prompt, MANY)
    assert (asked.plan.mode, len(asked.bodies)) == ("echo", len(MANY))
    np.testing.assert_allclose(asked.answers.probability, truth(prompt, MANY, completion=True), rtol=1e-9)
    np.testing.assert_allclose(asked.answers.mass, 0.9)
    assert not asked.without_probability


def by_number(token):
    return f"token_id:{sum(token.encode())}"


def generated_only(body, usual):
    logprobs = usual["choices"][0]["logprobs"]
    usual["choices"][0]["logprobs"] = {"content": [{"token": logprobs["tokens"][-1], "logprob": -0.1}]}
    return usual


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (generated_only, "the server does not echo the prompt, or in other tokens"),
        (each(spell=by_number), "the server's log-probabilities do not say the texts of the tokens"),
        (each(spell=lambda token: token.replace(" 1", " one")), "the server does not echo the prompt"),
        (without_logprobs, "the server sent no log-probabilities"),
    ],
)
def test_an_echo_that_cannot_be_read_is_not_used_and_the_reason_is_said(ask, monkeypatch, change, reason):
    with monkeypatch.context() as patched:
        answering(patched, change)
        model = model_of(COMPLETED)
    asked = ask(model)
    assert asked.plan.mode == "top"
    assert asked.plan.reasons[0].startswith(f"echo: {reason}")
    with pytest.raises(RequestError, match=f"--mode echo is not supported by this model .{reason}"):
        ask(model, mode="echo")


def merged(body, usual):
    """After the probe, no label is a token of its own."""
    if body.get("echo") and "Learn." in body["prompt"]:
        logprobs = usual["choices"][0]["logprobs"]
        tokens = [*logprobs["tokens"][:-1], "", logprobs["tokens"][-1]]
        joined = ["".join(tokens[:-1]), tokens[-1]]
        usual["choices"][0]["logprobs"] = {"tokens": joined, "top_logprobs": [None, None]}
    return usual


def test_an_echo_without_a_label_is_not_kept(ask, monkeypatch, cache):
    answering(monkeypatch, merged)
    asked = ask(model_of(COMPLETED))
    assert asked.statuses == [["error", "error"]]
    assert len(asked.failures) == 1
    assert "not a token of its own" in asked.failures[0]
