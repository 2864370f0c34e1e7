"""Which key, and which headers, a server is told."""

import re

import pytest

from llm_icl.errors import RequestError
from tests.backends.hosted.making import KEYS, model_of


@pytest.mark.parametrize("name", ["gpt-4.1", "gpt-5.5:effort=high", "openai/x:api=completions"])
def test_openai_is_told_its_own_key(ask, name):
    for received in ask(name).received:
        assert received.headers["Authorization"] == "Bearer sk-the-key-of-openai"
        assert received.headers["x-stainless-retry-count"] == "0"
        assert received.headers["Content-Type"] == "application/json"
        assert not others(received.headers, "OPENAI_API_KEY")


def test_anthropic_is_told_its_own_key_and_the_version(ask):
    for received in ask("claude-opus-5").received:
        # Versions of the SDK differ in where they put it.
        told = [received.headers.get("x-api-key"), received.headers.get("Authorization")]
        assert sorted(filter(None, told)) in (["sk-the-key-of-anthropic"], ["Bearer sk-the-key-of-anthropic"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\d", received.headers["anthropic-version"])
        assert received.headers["x-stainless-retry-count"] == "0"
        assert not others(received.headers, "ANTHROPIC_API_KEY")


def others(headers, own):
    """The keys in headers that are not the one that belongs there."""
    return [name for name, key in KEYS.items() if name != own and any(key in value for value in headers.values())]


@pytest.mark.parametrize(
    ("name", "path"), [("gpt-4.1", "/v1"), ("gpt-5.5:effort=high", "/v1"), ("claude-opus-5", ""), ("openai/x", "/v1")]
)
@pytest.mark.parametrize(
    ("option", "variable"), [("", "LLM_ICL_API_KEY"), ("key=MY_OTHER_ACCOUNT", "MY_OTHER_ACCOUNT")]
)
def test_a_server_of_ones_own_is_told_another_key(provider, ask, name, path, option, variable):
    named = f"{name}{',' if ':' in name else ':'}{option}" if option else name
    for received in ask(model_of(named, f"{provider.url}{path}")).received:
        sent = " ".join(received.headers.values())
        assert KEYS[variable] in sent
        assert not others(received.headers, variable)


@pytest.mark.parametrize(("name", "variable"), [("gpt-4.1", "OPENAI_API_KEY"), ("claude-opus-5", "ANTHROPIC_API_KEY")])
def test_the_key_stands_in_the_variable_that_is_named(ask, monkeypatch, name, variable):
    monkeypatch.delenv(variable)
    for received in ask(f"{name}:key=MY_OTHER_ACCOUNT").received:
        assert KEYS["MY_OTHER_ACCOUNT"] in " ".join(received.headers.values())
        assert not others(received.headers, "MY_OTHER_ACCOUNT")
    for options, missing in (("", variable), (":key=NOWHERE", "NOWHERE")):
        with pytest.raises(RequestError, match=f"environment variable {missing}"):
            model_of(f"{name}{options}").secret()


def test_headers_of_a_provider_in_the_environment_stay_there(provider, ask, monkeypatch):
    for variable in ("OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(variable, "org-of-mine")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Secret: org-of-mine")
    received = ask(model_of("openai/x", f"{provider.url}/v1")).received
    assert received
    assert not any("org-of-mine" in " ".join(one.headers.values()) for one in received)
