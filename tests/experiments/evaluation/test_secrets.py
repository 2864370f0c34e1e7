"""Keys of many shapes in many places: in no byte of the outputs and in no message."""

import json
import logging
import os
from urllib.parse import quote

import pytest

from llm_icl.backends.hosted import model
from tests.inside import run_inside
from tests.servers.provider import Provider, Raw, answer

SHAPES = {
    "OpenAI's": "sk-proj-Ab3dEf6hIj9lMn2pQr5tUv8xYz1BcD4fGh7jKl0nOp",
    "Anthropic's": "sk-ant-api03-Zy9Xw8Vu7Ts6Rq5Po4Nm3Lk2Ji1Hg0Fe-AbCdEf",
    "Google's": "AIzaSyD3vN1x8Qw2e4R6t8Y0u2I4o6P8a0S2d4F",
    "xAI's": "xai-9f8e7d6c5b4a39281706f5e4d3c2b1a0",
    "a web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N",
    "short": "k3y-9z",
    "hexadecimal": "9f86d081884c7d659a2feaa0c55ad015",
    "of signs": "p+q/r=s&t%u:v@w#x~1",
    "quoted": 'ab"cd\\ef9gh',
    "with blanks around it": "  sk-blank-1a2b3c4d5e6f7a8b  \n",
    "several words": "correct horse 7 battery",
    "long": "L0ng" * 100,
}
COMMAND = "--task majority --n 3 --points 4 --problems 2 --no-shuffled-labels --learner averaging".split()


@pytest.fixture(scope="module")
def server():
    provider = Provider()
    yield provider
    provider.die()


@pytest.fixture
def run(server, tmp_path, monkeypatch):
    """A run with a key in the environment, and all that it wrote and said."""

    def do(key, *more, model="openai/gpt-4.1", base=None, fault=None, own=True):
        server.fault = fault or (lambda body, before: "")
        if own:
            monkeypatch.setenv("LLM_ICL_API_KEY", key)
        base = f"{server.url}/v1" if base is None else base
        given = ["--base-url", base] if base else []
        return run_inside("eval", "--model", model, *given, *COMMAND, "--out", "outputs/run", *more, cwd=tmp_path)

    yield do
    root = logging.getLogger()
    root.setLevel(logging.WARNING)


def forms(key):
    plain = key.strip()
    return {plain, json.dumps(plain)[1:-1], quote(plain, safe=""), plain.upper()}


def assert_nowhere(key, folder, done):
    texts = {"messages": done.stdout + done.stderr}
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "models.yaml":
            texts[str(path)] = path.read_bytes().decode(errors="replace")
    for place, text in texts.items():
        for form in forms(key):
            assert form not in text, place


def echo(key):
    """An answer that repeats the key in its text, its tokens and its model's name."""

    def fault(body, before):
        data = answer("/v1/chat/completions", body)
        data["model"] = f"m-{key.strip()}"
        data["choices"][0]["message"]["content"] = f"1\n{key.strip()} {key.strip().upper()}"
        data["choices"][0]["message"]["refusal"] = None
        data["choices"][0]["logprobs"]["content"][0]["top_logprobs"].append({"token": key.strip(), "logprob": -9.0})
        return Raw(200, json.dumps(data).encode())

    return fault


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_in_the_environment_and_echoed_in_replies(run, tmp_path, shape):
    key = SHAPES[shape]
    done = run(key, fault=echo(key))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "outputs" / "run" / "exchanges.jsonl").is_file()
    assert_nowhere(key, tmp_path, done)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_that_errors_and_headers_of_proxies_repeat(run, tmp_path, shape):
    key = SHAPES[shape].strip()
    headers = {"x-request-authorization": f"Bearer {quote(key)}"}
    said = {"error": {"message": f"no: Bearer {key}, {quote(key, safe='')}", "headers": {"Authorization": key}}}
    done = run(SHAPES[shape], fault=lambda body, before: Raw(400, json.dumps(said).encode(), headers))
    assert done.returncode == 1
    assert "no: Bearer" in done.stderr
    assert_nowhere(key, tmp_path, done)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_in_logs_of_debug_level(run, tmp_path, shape, monkeypatch):
    monkeypatch.setenv("OPENAI_LOG", "debug")
    root = logging.getLogger()
    kept, root.handlers[:] = list(root.handlers), []
    try:
        root.setLevel(logging.DEBUG)
        for name in ("openai", "httpx2", "httpcore2", "aiohttp", "asyncio"):
            monkeypatch.setattr(logging.getLogger(name), "level", logging.DEBUG)
        key = SHAPES[shape]
        done = run(key, fault=echo(key))
        logging.getLogger("anything").debug("headers: %s", {"Authorization": f"Bearer {key.strip()}"})
    finally:
        root.handlers[:] = kept
    assert done.returncode == 0
    assert_nowhere(key, tmp_path, done)


@pytest.mark.parametrize("place", ["user", "path", "query"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_key_in_the_base_url_is_refused_and_not_repeated(run, tmp_path, server, shape, place):
    key = SHAPES[shape].strip()
    host = server.url.removeprefix("http://")
    written = quote(key, safe="")
    base = {"user": f"http://me:{written}@{host}/v1", "path": f"http://{host}/{written}/v1",
            "query": f"http://{host}/v1?key={written}"}[place]  # fmt: skip
    done = run(key, base=base)
    assert done.returncode == 2
    assert "key" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "outputs").exists()
    assert_nowhere(key, tmp_path, done)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("where", ["key", "api_key", "identifier", "base-url"])
def test_a_key_in_a_catalogue_is_refused_and_not_repeated(run, tmp_path, shape, where):
    key = SHAPES[shape].strip()
    value = f"http://me:{quote(key, safe='')}@127.0.0.1/v1" if where == "base-url" else key
    fields = {"backend": "openai", "identifier": "m"} | {where: value}
    (tmp_path / "models.yaml").write_text(json.dumps({"models": {"mine": fields}}))
    done = run(key, model="mine", base="", own=where == "identifier")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert_nowhere(key, tmp_path, done)
    for verb in ("list models", "show model mine"):
        assert_nowhere(key, tmp_path, run_inside(*verb.split(), cwd=tmp_path))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("option", ["key", "api-key"])
def test_a_key_after_a_models_name_is_refused_and_not_repeated(run, tmp_path, shape, option):
    key = SHAPES[shape].strip().replace(",", "")
    done = run(key, model=f"openai/gpt-4.1:{option}={key}", own=False)
    assert done.returncode == 2
    assert_nowhere(key, tmp_path, done)
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize("value", ["none", "EMPTY", "ollama", "sk-no-key-required"])
def test_what_stands_for_no_key_is_none(run, value):
    assert run(value).returncode == 0


@pytest.mark.parametrize("value", ["abc", "schlüssel-1234", "a\nb-12345678"])
def test_what_cannot_be_a_key_is_refused_and_not_repeated(run, tmp_path, value):
    done = run(value)
    assert done.returncode == 2
    assert "LLM_ICL_API_KEY" in done.stderr
    assert value not in done.stderr


def test_blanks_around_a_key_are_left_out_with_a_word(run, server, caplog, monkeypatch):
    monkeypatch.setattr(model, "_STRIPPED", set())
    server.received.clear()
    done = run(" sk-with-blanks-12345678 \n")
    assert done.returncode == 0
    assert {received.headers["Authorization"] for received in server.received} == {"Bearer sk-with-blanks-12345678"}
    assert "blanks around the key are left out" in done.stderr + caplog.text
    assert os.environ["LLM_ICL_API_KEY"].startswith(" ")
