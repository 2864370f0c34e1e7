"""Every shape of reply × every interface, through the real SDKs: what is recorded, how many calls are made, and what
the user reads.
"""

import asyncio
import json
import re
from types import SimpleNamespace

import pytest

from llm_icl.asking.attempts import Patience
from llm_icl.asking.budget import Budget
from llm_icl.asking.cache import CallCache, call_key
from llm_icl.asking.modes import MODES
from llm_icl.asking.sending import Sender
from llm_icl.backends import backends, find_model
from llm_icl.backends.exchange import GenerateRequest, TopRequest
from llm_icl.config.specs import parse_specs
from llm_icl.errors import WorkError
from llm_icl.prompting import load_prompt
from tests.servers.provider import Provider, Raw
from tests.servers.shapes import WITH_ANSWER, WITHOUT_ANSWER

KEY = "sk-a-secret-of-mine-1234"
MODELS = {
    "chat": "openai/gpt-4.1:timeout=5", "completions": "openai/m:api=completions,timeout=5",
    "responses": "openai/m:api=responses,timeout=5", "messages": "anthropic/claude-sonnet-5-5:timeout=5",
}  # fmt: skip
QUICK = Patience(attempts=6, first_wait=0.0, longest_wait=0.0)
PROMPT = load_prompt(parse_specs(["basic"])[0])
QUESTIONS = 2
# Names of Python's exceptions, which tell a user nothing.
NAMES = re.compile(r"\w+(Error|Exception)\b|Traceback|object at 0x")


@pytest.fixture(scope="module")
def server():
    provider = Provider()
    yield provider
    provider.die()


@pytest.fixture
def ask(server, monkeypatch, tmp_path):
    """Two questions, one after the other."""
    monkeypatch.setenv("LLM_ICL_API_KEY", KEY)

    def do(api, fault):
        server.fault = fault
        server.received.clear()
        entry = find_model(MODELS[api], server.url if api == "messages" else f"{server.url}/v1")
        model = backends.get(entry.backend)(entry)
        kind = TopRequest if model.modes[0] == "top" else GenerateRequest
        asked = {}
        for i in range(QUESTIONS):
            text = f"Input: {i}\nLabel:"
            prompt = text if api == "completions" else [{"role": "user", "content": text}]
            labels = ("0", "1") if model.constrains else ()
            request = kind(prompt=prompt, stop=("\n",), max_tokens=2, labels=labels)
            asked[call_key(model.identity(), request.data())] = request
        cache = CallCache(tmp_path / "calls.sqlite")
        sender = Sender(model, cache, "run", Budget(), at_once=1, patience=QUICK, sleep=lambda _: asyncio.sleep(0))
        said, replies = "", {}
        try:
            replies = sender.send(asked, lambda done, what: None)
        except WorkError as stopped:
            said = str(stopped)
        finally:
            sender.close()
        mode = MODES["top" if kind is TopRequest else "generate"]
        outcomes = {key: [mode.read(reply, PROMPT)[0], reply][bool(reply.status)] for key, reply in replies.items()}
        statuses = [
            str(outcome.label) if outcome.status == "ok" else outcome.status for outcome in outcomes.values()
        ]  # a label, or why there is none
        said = said or " ".join({reply.message for reply in replies.values()})
        kept = cache.get(asked)
        cache.close()
        return SimpleNamespace(calls=len(server.received), statuses=statuses, said=said, kept=kept, model=model,
                               bodies=[one.body for one in server.received])  # fmt: skip

    return do


# How the run stops, or what each question becomes; and the calls that are made of two questions.
STOPS = {
    "key": ("the API key is invalid", 1), "credit": ("the account has no credit left", 1),
    "model": ("the provider has no such model or URL", 1), "access": ("refuses access", 1),
    "account": ("has closed the account", 1),
    "redirect": ("the server redirects", 1), "error": ("", 1), "server": ("nothing has been answered", 5),
    "reply": ("nothing has been answered", 3), "overload": ("nothing has been answered", QUICK.attempts),
}  # fmt: skip


@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("name", WITHOUT_ANSWER)
def test_a_reply_without_an_answer_is_what_the_server_says_it_is(ask, api, name):
    shape = WITHOUT_ANSWER[name]
    asked = ask(api, lambda body, before: shape.raw())
    assert shape.words in asked.said
    assert asked.said == " ".join(asked.said.split())
    assert asked.said.isprintable()
    assert not NAMES.search(asked.said) or NAMES.search(str(shape.body))  # in the server's own words
    assert "secret-of-mine" not in asked.said
    assert not asked.kept
    if shape.becomes in STOPS:
        words, calls = STOPS[shape.becomes]
        assert words in asked.said
        assert (asked.statuses, asked.calls) == ([], calls)
    else:
        assert (asked.statuses, asked.calls) == ([shape.becomes] * QUESTIONS, QUESTIONS)


@pytest.mark.parametrize("api", MODELS)
@pytest.mark.parametrize("name", WITH_ANSWER)
def test_an_answer_is_kept_whatever_is_beside_it(ask, api, name):
    becomes, answers = WITH_ANSWER[name]
    answer = answers[api]
    text = answer if isinstance(answer, str) else json.dumps(answer)
    asked = ask(api, lambda body, before: Raw(200, text.encode()))
    assert not NAMES.search(asked.said)
    if becomes == "reply":
        assert (asked.statuses, asked.calls) == ([], 3)
        assert "malformed reply" in asked.said or "it failed" in asked.said
        return
    assert (asked.statuses, asked.calls) == ([becomes] * QUESTIONS, QUESTIONS)
    assert len(asked.kept) == QUESTIONS
    assert all(call.reply.text is not None for call in asked.kept.values())


@pytest.mark.parametrize("charset", ["utf-16", "iso-8859-1", "ascii", "unheard-of"])
def test_an_answer_is_utf_8_whatever_its_header_says(ask, charset):
    answer = {"choices": [{"message": {"content": "1"}, "finish_reason": "stop"}], "model": "é"}
    said = {"content-type": f"application/json; charset={charset}"}
    asked = ask("chat", lambda body, before: Raw(200, json.dumps(answer, ensure_ascii=False).encode(), said))
    assert (asked.statuses, asked.calls) == (["1"] * QUESTIONS, QUESTIONS)
    assert {call.reply.model for call in asked.kept.values()} == {"é"}


def test_there_are_enough_of_them():
    assert len(WITHOUT_ANSWER) + len(WITH_ANSWER) >= 100


def refusal(message, **fields):
    return Raw(400, json.dumps({"error": {"message": message, "code": None} | fields}).encode())


def too_many(body):
    return body.get("top_logprobs", 0) > 5


ADAPTED = {
    "a renamed limit": (
        ("chat",), lambda body: "max_tokens" in body,
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        {"renamed": {"max_tokens": "max_completion_tokens"}, "dropped": []},
    ),
    "a least limit": (
        ("chat", "completions"), lambda body: body["max_tokens"] < 16, "max_tokens must be at least 16",
        {"raised": {"max_tokens": 16}, "dropped": []},
    ),
    "a least limit of responses": (
        ("responses",), lambda body: body["max_output_tokens"] < 32,
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 32, but got 16 instead.",
        {"raised": {"max_output_tokens": 32}, "dropped": []},
    ),
    "fewer top tokens": (
        ("chat",), too_many, "Input validation error: `top_n_tokens` must be >= 0 and <= 5. Given: 20",
        {"lowered": {"top_logprobs": 5}, "dropped": []},
    ),
    "DeepSeek, fewer top tokens": (
        ("chat",), too_many, "Invalid top_logprobs value, the valid range of top_logprobs is [0, 5]",
        {"lowered": {"top_logprobs": 5}, "dropped": []},
    ),
    "TGI, no temperature of 0": (
        ("chat", "completions"), lambda body: body.get("temperature") == 0,
        "Input validation error: `temperature` must be strictly positive", {"dropped": ["temperature"]},
    ),
    "Mistral": (
        ("chat",), lambda body: "logprobs" in body,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "logprobs"], "msg": "Extra inputs are not permitted"}]},
        {"dropped": ["logprobs", "top_logprobs"]},
    ),
    "Gemini": (
        ("chat",), lambda body: "logprobs" in body, "Logprobs is not enabled for models/m",
        {"dropped": ["logprobs", "top_logprobs"]},
    ),
    "two at once": (
        ("chat",), lambda body: "stop" in body or "temperature" in body,
        "Unrecognized request arguments supplied: stop, temperature", {"dropped": ["stop", "temperature"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ADAPTED)
def test_a_parameter_is_adapted_once_and_that_is_recorded(ask, name):
    apis, refuses, words, changed = ADAPTED[name]
    for api in apis:
        answer = json.dumps(WITH_ANSWER["nothing but the answer"][1][api]).encode()
        asked = ask(api, lambda body, before, answer=answer: refusal(words) if refuses(body) else Raw(200, answer))
        assert asked.statuses == ["1"] * QUESTIONS
        assert [refuses(body) for body in asked.bodies] == [True] * (asked.calls - QUESTIONS) + [False] * QUESTIONS
        assert asked.calls - QUESTIONS == (2 if name == "two at once" else 1)
        record = asked.model.found()
        assert {key: record[key] for key in changed} == changed


def test_a_server_that_refuses_both_names_of_the_limit_is_not_asked_for_ever(ask):
    def fault(body, before):
        name = next(key for key in ("max_tokens", "max_completion_tokens") if key in body)
        return refusal(f"Unsupported parameter: '{name}' is not supported.")

    asked = ask("chat", fault)
    assert (asked.statuses, asked.calls) == ([], 2)
    assert "is not supported" in asked.said
