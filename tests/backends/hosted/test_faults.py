"""What is common to models behind HTTP: waits, secrets, addresses, refused parameters, estimated tokens."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_icl.backends.hosted.adapting import Adaptations
from llm_icl.backends.hosted.faults import TransientError, fault_in, reason_for, retry_after
from llm_icl.backends.hosted.reasons import Reason
from llm_icl.config.addresses import checked_url
from llm_icl.config.secrets import redact
from llm_icl.config.specs import parse_specs
from llm_icl.errors import RequestError
from llm_icl.prompting import load_prompt, prompt_names, render
from llm_icl.prompting.token_estimate import estimated_tokens
from llm_icl.tasks.cards import load_task
from llm_icl.tasks.drawing import draw_problems


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Wed, 32 Foo 2026 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        ({"retry-after": "Fri, 27 Nov 2026 11:43:43 +99999999999999999999"}, None),
        ({"x-other": "9"}, None),
    ],
)
def test_the_wait_that_a_server_asks_for_is_in_seconds(headers, seconds):
    assert retry_after(headers) == seconds


def test_a_date_is_compared_with_the_clock_of_the_server():
    dates = {"date": "Fri, 27 Nov 2020 12:00:00 GMT", "retry-after": "Fri, 27 Nov 2020 12:00:09 GMT"}
    assert retry_after(dates) == 9
    assert retry_after(dates | {"date": "today"}) == 0  # by our clock


@pytest.mark.parametrize("ahead", [30, 3600])
def test_the_wait_may_be_a_date(ahead):
    then = datetime.now(UTC) + timedelta(seconds=ahead)
    written = retry_after({"retry-after": format_datetime(then, usegmt=True)})
    assert ahead - 10 < written <= ahead
    elsewhere = then + timedelta(hours=2)
    text = f"{elsewhere:%a, %d %b %Y %H:%M:%S} +0200"
    assert ahead - 10 < retry_after({"retry-after": text}) <= ahead


@settings(deadline=None)
@given(
    text=st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,6} [0-9:]{1,9} [+-]?\w{1,6}"))
)
@example(text="Sun, 06 Nov 2094 08:49:37 -0000")
@example(text="nan")
def test_no_header_whatever_it_says_is_an_error_or_a_wait_that_is_negative(text):
    for name in ("retry-after", "retry-after-ms"):
        wait = retry_after({name: text})
        assert wait is None or wait >= 0


def test_the_values_of_keys_are_taken_out_of_a_text(monkeypatch):
    secrets = {
        "OPENAI_API_KEY": "sk-1234567890",
        "HF_TOKEN": "hf_(a+b)*c",
        "DB_PASSWORD": "correct horse",
        "A_SECRET": "éèê€éèê€",
    }
    for name, value in secrets.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LANGUAGE_OF_MINE", "esperanto")
    text = "esperanto sk-1234567890, 'sk-1234567890' and hf_(a+b)*c; correct horse éèê€éèê€."
    assert redact(text) == "esperanto ***, '***' and ***; *** ***."


def test_what_headers_of_the_environment_send_in_secret_is_taken_out_and_the_rest_is_not(monkeypatch):
    monkeypatch.setenv(
        "OPENAI_CUSTOM_HEADERS", "X-Auth: sesame-12345\nX-Title: experiments, X-Proxy-Key: Bearer opened99"
    )
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "Cookie: session=abcdefgh")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-theirs00")
    text = "sesame-12345 for experiments, opened99 by Bearer; session=abcdefgh; org-theirs00"
    assert redact(text) == "*** for experiments, *** by Bearer; ***; ***"


@pytest.mark.parametrize(("status", "words", "kind"), [
    # What passes is asked again, whatever else is said of it.
    (503, "No available slot: the KV cache for this context size is full, try again later", "TransientError"),
    (429, "Too many input tokens, please slow down", "TransientError"),
    (500, "The context length pool is temporarily full", "TransientError"),
    (429, "You sent too many requests; see https://example.org/billing", "TransientError"),
    (403, "You have exceeded a secondary rate limit", "TransientError"),
    # What does not is not.
    (429, "You exceeded your current quota, please check your plan and billing details", "HopelessError"),
    (402, "Payment required, try again later", "HopelessError"),
    (403, "You have no access to this model", "HopelessError"),
    (400, "This model's maximum context length is 8192 tokens", "RejectedError"),
    (500, "the request exceeds the available context size", "RejectedError"),
    (413, "Request entity too large", "RejectedError"),
    (400, "Access denied, please make sure your account is in good standing.", "HopelessError"),
    (403, "Sorry, your account balance is insufficient", "HopelessError"),
    (429, "余额不足或无可用资源包,请充值。", "HopelessError"),
    (429, "You have reached your monthly limit of free requests", "HopelessError"),
])  # fmt: skip
def test_an_error_is_what_its_words_say_unless_they_say_that_it_passes(status, words, kind):
    assert type(fault_in(Reason(words), status, "m")).__name__ == kind


@pytest.mark.parametrize("words", [
    "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
    "Invalid request: Your request exceeded model token limit: 262144",
    "Range of input length should be [1, 129024]",
    "Prompt exceeds max length",
    "Prompt length (5000) exceeds maximum input length (4096)",
    "The prompt length 5000 should not exceed max_seq_len 4096",
    "prompt token count of 9000 cannot exceed 4096",
    "Input length 5000 exceeds the maximum allowed token length of 4096",
    "The number of tokens in the prompt (5000) is greater than the model limit",
    "prompt has 5000 tokens, but the configured context is 4096",
    "Input tokens exceed the configured limit of 272000 tokens.",
])  # fmt: skip
def test_prompts_that_are_too_long_are_so_in_many_words(words):
    assert fault_in(Reason(words), 400, "m").status == "too_long"
    assert isinstance(fault_in(Reason(words), 429, "m"), TransientError)  # of rates


@pytest.mark.parametrize("words", [
    "max_tokens is too large: 5000. This model supports at most 4096 completion tokens",
    "max_tokens: 5000 exceeds the maximum allowed 4096 tokens",
    "The output tokens exceed the maximum allowed length",
    "Invalid value for temperature",
    "'stop': array too long. Expected an array with maximum length 4",
])  # fmt: skip
def test_other_limits_are_not_those_of_prompts(words):
    assert fault_in(Reason(words), 400, "m").status == "error"


@pytest.mark.parametrize(("status", "charged"), [(500, False), (502, False), (503, False), (504, True), (524, True)])
def test_what_stands_behind_a_gateway_that_waited_may_go_on_and_be_paid_for(status, charged):
    assert fault_in(Reason("Gateway Time-out"), status, "m").charged == charged


def test_a_key_that_is_a_common_word_does_not_spoil_every_text(monkeypatch):
    monkeypatch.setenv("LLM_ICL_API_KEY", "none")
    monkeypatch.setenv("OTHER_KEY", "")
    assert redact("none of it") == "none of it"


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000/v1"),
        ("https://api.example.org", "https://api.example.org"),
        ("http://[::1]:8000/v1", "http://[::1]:8000/v1"),
        ("HTTP://host/a@b", "HTTP://host/a@b"),
    ],
)
def test_an_address_is_taken_without_the_slash_at_its_end(url, checked):
    assert checked_url(url) == checked


@pytest.mark.parametrize(
    "url",
    [
        "http://hunter2@host/v1",
        "http://me:hunter2@host/v1",
        "http://:hunter2@host/v1",
        "https://hunter2:@host:8000/v1",
        "http://host/v1?api_key=hunter2",
        "http://host?hunter2",
        "ftp://me:hunter2@host/v1",
        "me:hunter2@host/v1",
        "http://me:hunter2@/v1",
    ],
)
def test_an_address_with_a_secret_is_refused_and_the_secret_is_not_repeated(url):
    with pytest.raises(RequestError) as caught:
        checked_url(url)
    assert "--base-url" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("url", ["", "localhost", "localhost:8000/v1", "/v1", "http://", "http:///v1", "file:///etc"])
def test_what_is_no_address_of_a_server_is_refused(url):
    with pytest.raises(RequestError, match="such as http://localhost:8000/v1"):
        checked_url(url)


def refused_parameter(problem, body):
    """The parameter that is left out because of a problem."""
    adaptations = Adaptations()
    if not adaptations.learn(reason_for(problem), getattr(problem, "status_code", 0), body):
        return None
    named = [key for key in body if key in adaptations.dropped and re.search(rf"\b{key}\b", str(problem))]
    return named[0] if named else None


class ProviderError(Exception):
    """As both SDKs raise it: a status, and the JSON data that came with it."""

    def __init__(self, body, status=400):
        super().__init__(f"Error code: {status} - {json.dumps(body)}")
        self.body, self.status_code = body, status


def of_openai(message, param=None, **more):
    return ProviderError(
        {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}, **more
    )


def of_anthropic(message, **more):
    return ProviderError({"type": "error", "error": {"type": "invalid_request_error", "message": message}}, **more)


CHAT = {
    "model": "m", "messages": [{"role": "user", "content": "temperature"}], "max_completion_tokens": 2,
    "temperature": 0, "stop": ["\n"], "logprobs": True, "top_logprobs": 20, "reasoning_effort": "none",
}  # fmt: skip
RESPONSES = {"model": "m", "input": "x", "max_output_tokens": 16, "store": False, "temperature": 0, "reasoning": {}}
MESSAGES = {
    "model": "m", "messages": [], "max_tokens": 2, "system": "s", "temperature": 0, "stop_sequences": ["Input"],
    "thinking": {"type": "disabled"}, "output_config": {"effort": "low"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("problem", "body", "parameter"),
    [
        (
            of_openai("Unsupported parameter: 'temperature' is not supported with this model.", "temperature"),
            CHAT,
            "temperature",
        ),
        (
            of_openai("Unsupported value: 'temperature' does not support 0 with this model.", "temperature"),
            RESPONSES,
            "temperature",
        ),
        (of_openai("Unsupported parameter: 'stop' is not supported with this model."), CHAT, "stop"),
        (of_openai("Unsupported parameter: 'top_logprobs' is not supported.", "top_logprobs"), CHAT, "top_logprobs"),
        (of_openai("Unsupported parameter: 'logprobs' is not supported."), CHAT, "logprobs"),
        (of_openai("Unsupported parameter: 'top_logprobs' is not supported."), CHAT, "top_logprobs"),
        (
            of_openai(
                "Unsupported parameter: 'reasoning.effort' is not supported with this model.", "reasoning.effort"
            ),
            RESPONSES,
            "reasoning",
        ),
        (of_openai("This value is not supported.", "reasoning.effort"), RESPONSES, "reasoning"),
        (of_openai("Unrecognized request argument supplied: reasoning_effort"), CHAT, "reasoning_effort"),
        (of_openai("Unknown parameter: 'store'.", "store", status=422), RESPONSES, "store"),
        (of_anthropic("temperature: Extra inputs are not permitted"), MESSAGES, "temperature"),
        (of_anthropic("thinking.type.disabled: Extra inputs are not permitted"), MESSAGES, "thinking"),
        (of_anthropic("`temperature` is deprecated for this model."), MESSAGES, "temperature"),
        (of_anthropic("output_config: Extra inputs are not permitted"), MESSAGES, "output_config"),
    ],
)
def test_a_parameter_that_the_provider_does_not_take_is_named(problem, body, parameter):
    assert refused_parameter(problem, body) == parameter
    # OpenAI's SDK hands on what stands under "error".
    inner = ProviderError(problem.body["error"], problem.status_code)
    assert refused_parameter(inner, body) == parameter
    # Once it is left out, the same complaint is about something else.
    assert refused_parameter(problem, {key: value for key, value in body.items() if key != parameter}) is None


@pytest.mark.parametrize(
    ("problem", "body"),
    [
        (of_openai("Unsupported parameter: 'messages' is not supported with this model.", "messages"), CHAT),
        (of_openai("Unsupported value: 'messages[0].role' does not support 'system'.", "messages[0].role"), CHAT),
        (of_openai("Unsupported parameter: 'max_completion_tokens' is not supported with this model."), CHAT),
        (of_openai("Unsupported value: 'model' does not support m.", "model"), CHAT),
        (of_openai("Unsupported parameter: 'input' is not supported.", "input"), RESPONSES),
        (of_openai("Unknown parameter: 'max_output_tokens'."), RESPONSES),
        (of_anthropic("messages: Extra inputs are not permitted"), MESSAGES),
        (of_anthropic("max_tokens: Extra inputs are not permitted"), MESSAGES),
        (of_anthropic("This model does not support assistant message prefill."), MESSAGES),
    ],
)
def test_what_every_request_needs_is_never_left_out(problem, body):
    assert refused_parameter(problem, body) is None


@pytest.mark.parametrize(
    "problem",
    [
        of_openai("This model's maximum context length is 8192 tokens, your messages have 9000.", "messages"),
        of_openai("Invalid 'temperature': decimal above maximum value. Expected a value <= 2.", "temperature"),
        of_anthropic("prompt is too long: 210000 tokens > 200000 maximum"),
        of_anthropic("max_tokens: must be at least 1"),
        of_anthropic("Your credit balance is too low to access the Anthropic API."),
        of_openai("Unsupported parameter: 'temperature' is not supported.", "temperature", status=401),
        of_openai("Unsupported parameter: 'temperature' is not supported.", "temperature", status=429),
        of_openai("Unsupported parameter: 'temperature' is not supported.", "temperature", status=500),
        of_openai("Unsupported parameter: 'colour' is not supported.", "colour"),
        ProviderError(None),
        ProviderError("temperature"),
        ProviderError({}),
        ProviderError({"error": "bad request"}),
        ProviderError({"error": {"message": None}}),
        TimeoutError("temperature is not supported"),
    ],
)
@pytest.mark.parametrize("body", [CHAT, RESPONSES, MESSAGES])
def test_another_problem_is_no_refused_parameter(problem, body):
    assert refused_parameter(problem, body) is None


@settings(max_examples=300, deadline=None)
@given(
    words=st.lists(st.sampled_from([*CHAT, *MESSAGES, "is", "not supported", "unknown", "."]), max_size=8),
    param=st.one_of(st.none(), st.sampled_from([*CHAT, *MESSAGES])),
    body=st.sampled_from([CHAT, RESPONSES, MESSAGES]),
)
def test_leaving_out_what_is_refused_comes_to_an_end_with_all_that_is_needed(words, param, body):
    problem, left = of_openai(" ".join(words), param), dict(body)
    while (parameter := refused_parameter(problem, left)) is not None:
        del left[parameter]
    needed = {"model", "messages", "input", "max_tokens", "max_completion_tokens", "max_output_tokens"}
    assert needed & set(left) == needed & set(body)


def test_the_tokens_of_several_texts_are_those_of_each():
    texts = ["Input: 0 1\nLabel: 1", "", "Label:"]
    assert estimated_tokens([]) == 0
    assert estimated_tokens(texts) == sum(estimated_tokens([text]) for text in texts)
    assert estimated_tokens(texts[:1]) > estimated_tokens(texts[2:]) > 0


WEIGHTS = Path("~/.cache/llm-icl/models").expanduser()
FOLDERS = sorted(file.parent for file in WEIGHTS.glob("*/tokenizer.json"))


@pytest.mark.embedded
@pytest.mark.skipif(not FOLDERS, reason="no embedded model has been used yet")
def test_the_estimate_is_within_a_factor_of_two_of_real_tokenizers():
    from transformers import AutoTokenizer

    problems = draw_problems(load_task(parse_specs(["conjunction"])[0]), 20, 40, 1)
    specs = [f"{name}:inputs={inputs}" for name in prompt_names() for inputs in ("spaced", "words", "list")]
    prompts = [load_prompt(spec) for spec in parse_specs(specs)]
    texts = [render(prompt, problems, 0, position).text for prompt in prompts for position in (0, 3, 39)]
    for folder in FOLDERS:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        for text, tokens in zip(texts, tokenizer(texts)["input_ids"], strict=True):
            assert len(tokens) / 2 <= estimated_tokens([text]) <= 2 * len(tokens), (folder.name, text)
