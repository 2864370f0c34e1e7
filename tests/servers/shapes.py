"""What servers reply instead of an answer, and answers with oddities beside them, in the forms that each server writes.

Texts, statuses and members are those that the servers send; identifiers are shortened.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.servers.provider import Raw


@dataclass(frozen=True)
class Shape:
    """A reply; what becomes of a question that gets nothing else; and words of the server that a user must read.

    `becomes`: `key`, `credit`, `model`, `access`, `redirect` or `error` stop the run at once; `too_long` and `refused`
    are the status of the question; `overload` is waited for; `server` and `reply` are tried a few times and stop the
    run if nothing has been answered.
    """

    becomes: str
    words: str
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    def raw(self) -> Raw:
        text = self.body if isinstance(self.body, str | bytes) else json.dumps(self.body)
        return Raw(self.status, text if isinstance(text, bytes) else text.encode(), self.headers)


def openai(message: str, kind: str | None = "invalid_request_error", code: Any = None, param: Any = None) -> Any:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def anthropic(message: str, kind: str) -> Any:
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def google(code: int, message: str, status: str, details: Any = ()) -> Any:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


def vllm(message: str, kind: str, code: int) -> Any:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


HTML = {"content-type": "text/html; charset=utf-8"}

WITHOUT_ANSWER: dict[str, Shape] = {
    # a wrong key
    "OpenAI, key": Shape(
        "key", "Incorrect API key", 401, openai("Incorrect API key provided: sk-ab***yz.", code="invalid_api_key")
    ),
    "Anthropic, key": Shape("key", "invalid x-api-key", 401, anthropic("invalid x-api-key", "authentication_error")),
    "Azure, key": Shape(
        "key",
        "invalid subscription key",
        401,
        {"error": {"code": "401", "message": "Access denied due to invalid subscription key or wrong API endpoint."}},
    ),
    "Gemini, key": Shape(
        "key",
        "API key not valid",
        400,
        google(
            400, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", [{"reason": "API_KEY_INVALID"}]
        ),
    ),
    "xAI, key": Shape(
        "key",
        "Incorrect API key",
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***."},
    ),
    "Mistral, key": Shape("key", "Unauthorized", 401, {"message": "Unauthorized", "request_id": "1"}),
    "FastAPI, key": Shape("key", "Invalid token", 401, {"detail": "Invalid token"}),
    "vLLM, key": Shape("key", "Unauthorized", 401, {"error": "Unauthorized"}),
    "llama.cpp, key": Shape(
        "key",
        "Invalid API Key",
        401,
        {"error": {"message": "Invalid API Key", "type": "authentication_error", "code": 401}},
    ),
    "LiteLLM, key as 500": Shape(
        "key",
        "Incorrect API key",
        500,
        openai("litellm.AuthenticationError: OpenAIException - Incorrect API key provided", None, "500"),
    ),
    "OpenRouter, key": Shape(
        "key", "No auth credentials", 401, {"error": {"message": "No auth credentials found", "code": 401}}
    ),
    "a plain text, key": Shape("key", "unauthorized", 401, "unauthorized"),
    "an empty 401": Shape("key", "401", 401, ""),
    "Together, key in a 200": Shape(
        "key", "Invalid API key", 200, {"error": {"message": "Invalid API key provided.", "code": "invalid_api_key"}}
    ),
    # no credit
    "OpenAI, credit": Shape(
        "credit",
        "exceeded your current quota",
        429,
        openai(
            "You exceeded your current quota, please check your plan and billing details.",
            "insufficient_quota",
            "insufficient_quota",
        ),
    ),
    "Anthropic, credit": Shape(
        "credit",
        "credit balance is too low",
        400,
        anthropic("Your credit balance is too low to access the Anthropic API.", "invalid_request_error"),
    ),
    "DeepSeek, credit": Shape(
        "credit", "Insufficient Balance", 402, openai("Insufficient Balance", "unknown_error", "invalid_request_error")
    ),
    "OpenRouter, credit": Shape(
        "credit",
        "Insufficient credits",
        402,
        {"error": {"message": "Insufficient credits. Add more using https://openrouter.ai/credits", "code": 402}},
    ),
    "Fireworks, credit": Shape(
        "credit",
        "suspended",
        412,
        {
            "error": {
                "object": "error",
                "message": "Account a is suspended, possibly due to reaching the monthly spending limit",
            }
        },
    ),
    "credit as a text": Shape("credit", "Insufficient balance", 403, {"detail": "Insufficient balance"}),
    "OpenRouter, credit in a 200": Shape(
        "credit", "Insufficient credits", 200, {"error": {"message": "Insufficient credits", "code": 402}}
    ),
    # a wrong model or path
    "OpenAI, model": Shape(
        "model",
        "does not exist",
        404,
        openai("The model `m` does not exist or you do not have access to it.", code="model_not_found"),
    ),
    "vLLM, model": Shape("model", "does not exist", 404, vllm("The model `m` does not exist.", "NotFoundError", 404)),
    "Ollama, model": Shape(
        "model", "try pulling it first", 404, {"error": 'model "m" not found, try pulling it first'}
    ),
    "Mistral, model": Shape(
        "model",
        "Invalid model",
        400,
        {"object": "error", "message": "Invalid model: m", "type": "invalid_model", "param": None, "code": "1500"},
    ),
    "Azure, deployment": Shape(
        "model",
        "deployment for this resource does not exist",
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
    ),
    "Gemini, model": Shape(
        "model", "is not found", 404, google(404, "models/m is not found for API version v1main", "NOT_FOUND")
    ),
    "LM Studio, path in a 200": Shape(
        "model", "Unexpected endpoint", 200, {"error": "Unexpected endpoint or method. (POST /v1/x)"}
    ),
    "LM Studio, nothing loaded": Shape(
        "model", "No models loaded", 400, {"error": "No models loaded. Please load a model in the developer page."}
    ),
    "FastAPI, path": Shape("model", "Not Found", 404, {"detail": "Not Found"}),
    "a web page, path": Shape(
        "model", "404 Not Found", 404, "<html><head><title>404 Not Found</title></head><body>nginx</body></html>", HTML
    ),
    "a method": Shape("model", "Method Not Allowed", 405, {"detail": "Method Not Allowed"}),
    "llama.cpp, not implemented": Shape(
        "model",
        "does not support",
        501,
        {"error": {"code": 501, "message": "This server does not support this.", "type": "not_supported_error"}},
    ),
    # no access
    "Cloudflare": Shape(
        "access",
        "Just a moment",
        403,
        "<!DOCTYPE html><html><head><title>Just a moment...</title><style>b{}</style></head></html>",
        HTML,
    ),
    "OpenAI, region": Shape(
        "access",
        "Country, region",
        403,
        openai(
            "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory"
        ),
    ),
    "a proxy": Shape("access", "407", 407, ""),
    # a closed account
    "Anthropic, account": Shape(
        "account", "has been disabled", 400, anthropic("This organization has been disabled.", "invalid_request_error")
    ),
    "OpenAI, account": Shape(
        "account", "deactivated", 401, openai("The OpenAI account has been deactivated.", code="account_deactivated")
    ),
    "OpenRouter, account": Shape(
        "account", "flagged", 403, openai("Your account has been flagged for review.", None, 403)
    ),
    # redirects
    "a redirect": Shape(
        "redirect",
        "https://elsewhere.example/v1",
        301,
        "",
        {"location": "https://me:secret-of-mine@elsewhere.example/v1?k=secret-of-mine"},
    ),
    "a redirect that keeps the method": Shape("redirect", "/v2/chat", 308, "", {"location": "/v2/chat"}),
    "a redirect to nowhere": Shape("redirect", "redirects", 302, ""),
    # too long
    "OpenAI, too long": Shape(
        "too_long",
        "maximum context length",
        400,
        openai("This model's maximum context length is 8192 tokens.", code="context_length_exceeded", param="messages"),
    ),
    "Anthropic, too long": Shape(
        "too_long",
        "prompt is too long",
        400,
        anthropic("prompt is too long: 210000 tokens > 200000 maximum", "invalid_request_error"),
    ),
    "Anthropic, too large": Shape(
        "too_long", "exceeds the maximum", 413, anthropic("Request exceeds the maximum size", "request_too_large")
    ),
    "vLLM, too long": Shape(
        "too_long",
        "longer than the maximum",
        400,
        vllm(
            "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "BadRequestError", 400
        ),
    ),
    "SGLang, too long": Shape(
        "too_long",
        "longer than the model",
        400,
        vllm(
            "The input (5000 tokens) is longer than the model's context length (4096 tokens).", "BadRequestError", 400
        ),
    ),
    "llama.cpp, too long": Shape(
        "too_long",
        "available context size",
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size, try increasing it",
                "type": "exceed_context_size_error",
                "n_ctx": 4096,
            }
        },
    ),
    "llama.cpp, older, too long": Shape(
        "too_long",
        "available context size",
        500,
        {"error": {"code": 500, "message": "the request exceeds the available context size", "type": "server_error"}},
    ),
    "TGI, too long": Shape(
        "too_long",
        "must be <= 4096",
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
            "error_type": "validation",
        },
    ),
    "LM Studio, too long": Shape(
        "too_long",
        "overflows",
        400,
        {
            "error": "Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded "
            "with context length of only 4096 tokens"
        },
    ),
    "Gemini, too long": Shape(
        "too_long",
        "input token count",
        400,
        google(
            400,
            "The input token count (2000000) exceeds the maximum number of tokens allowed (1048576).",
            "INVALID_ARGUMENT",
        ),
    ),
    "Mistral, too long": Shape(
        "too_long",
        "too large for model",
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length",
            "type": "invalid_request_error",
        },
    ),
    "Groq, too long": Shape(
        "too_long",
        "Request too large",
        413,
        openai(
            "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 7000",
            "tokens",
            "rate_limit_exceeded",
        ),
    ),
    "Ollama, too long": Shape(
        "too_long", "exceeds the context length", 400, {"error": "the input length exceeds the context length"}
    ),
    "nginx, too large": Shape(
        "too_long",
        "413 Request Entity Too Large",
        413,
        "<html><title>413 Request Entity Too Large</title></html>",
        HTML,
    ),
    # filtered
    "Azure, filter": Shape(
        "refused",
        "content management policy",
        400,
        {
            "error": {
                "message": "The response was filtered due to the prompt triggering Azure's content management policy.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
    ),
    "Qwen, filter": Shape(
        "refused",
        "inappropriate content",
        400,
        openai("Input data may contain inappropriate content.", "data_inspection_failed", "data_inspection_failed"),
    ),
    # overload
    "OpenAI, rate": Shape(
        "overload",
        "Rate limit reached",
        429,
        openai(
            "Rate limit reached for m on requests per min (RPM): Limit 3, Used 3. Please try again in 20ms. "
            "You can increase it by adding a payment method at https://platform.openai.com/account/billing.",
            "requests",
            "rate_limit_exceeded",
        ),
    ),
    "Gemini, rate": Shape(
        "overload",
        "exceeded your current quota",
        429,
        google(
            429,
            "You exceeded your current quota, please check your plan and billing details.",
            "RESOURCE_EXHAUSTED",
            [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "0.01s"}],
        ),
    ),
    "a limit of tokens that is over soon": Shape(
        "overload",
        "context window",
        429,
        openai("Rate limit: reduce the context window", "tokens"),
        {"retry-after": "0.01"},
    ),
    "Bedrock, rate": Shape(
        "overload", "Too many tokens", 429, {"message": "Too many tokens, please wait before trying again."}
    ),
    "Bedrock, rate of a day": Shape(
        "overload", "Too many tokens", 429, {"message": "Too many tokens per day, please wait before trying again."}
    ),
    "Mistral, rate": Shape("overload", "rate limit exceeded", 429, {"message": "Requests rate limit exceeded"}),
    "Anthropic, overload": Shape("overload", "Overloaded", 529, anthropic("Overloaded", "overloaded_error")),
    "TGI, overload": Shape("overload", "overloaded", 429, {"error": "Model is overloaded", "error_type": "overloaded"}),
    "Ollama, busy": Shape(
        "overload", "server busy", 503, {"error": "server busy, please try again.  maximum pending requests exceeded"}
    ),
    "llama.cpp, loading": Shape(
        "overload",
        "Loading model",
        503,
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
    ),
    "a web page, overload": Shape(
        "overload",
        "503 Service Temporarily Unavailable",
        503,
        "<html><h1>503 Service Temporarily Unavailable</h1></html>",
        HTML,
    ),
    "OpenRouter, rate in a 200": Shape(
        "overload",
        "is temporarily rate-limited upstream",
        200,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": "m is temporarily rate-limited upstream", "provider_name": "p"},
            }
        },
    ),
    # a server that fails
    "Ollama, memory": Shape(
        "server",
        "requires more system memory",
        500,
        {
            "error": {
                "message": "model requires more system memory (8.4 GiB) than is available (3.9 GiB)",
                "type": "api_error",
            }
        },
    ),
    "TGI, generation": Shape(
        "server",
        "CUDA out of memory",
        424,
        {"error": "Request failed during generation: Server error: CUDA out of memory", "error_type": "generation"},
    ),
    "vLLM, engine": Shape(
        "server",
        "EngineCore encountered an issue",
        500,
        vllm("EngineCore encountered an issue.", "InternalServerError", 500),
    ),
    "a web page, gateway": Shape(
        "server", "502 Bad Gateway", 502, "<html><head><title>502 Bad Gateway</title></head></html>", HTML
    ),
    "an empty 500": Shape("server", "500", 500, ""),
    "a traceback": Shape("server", "boom", 500, "Traceback (most recent call last):\n  File x\nValueError: boom"),
    # another error
    "OpenAI, error": Shape(
        "error", "is not of type 'array'", 400, openai("'x' is not of type 'array' - 'messages'", param="messages")
    ),
    "FastAPI, errors": Shape(
        "error",
        "body.messages: Field required",
        422,
        {
            "detail": [
                {"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"model": "m"}}
            ]
        },
    ),
    "a text": Shape("error", "bad thing", 400, {"error": "bad thing"}),
    "a list": Shape("error", "bad thing; worse thing", 400, {"errors": ["bad thing", "worse thing"]}),
    "nested": Shape("error", "bad thing", 400, {"error": {"error": {"message": "bad thing"}}}),
    "JSON in a text": Shape("error", "bad thing", 400, {"error": {"message": '{"error": {"message": "bad thing"}}'}}),
    "TGI, a text": Shape(
        "error", "Failed to deserialize", 422, "Failed to deserialize the JSON body into the target type"
    ),
    "null": Shape("error", "400", 400, "null"),
    "an empty 400": Shape("error", "400", 400, ""),
    "another language and lone surrogates": Shape(
        "error", "参数错误", 400, '{"error": {"message": "参数错误 \\ud83d \\u0000 \\u001b[2J"}}'
    ),
    # 200 without an answer
    "an error in a 200": Shape("reply", "something broke", 200, {"error": "something broke"}),
    "a nested error in a 200": Shape(
        "server", "something broke", 200, {"error": {"message": "something broke", "code": 500}}
    ),
    "detail in a 200": Shape("reply", "something broke", 200, {"detail": "something broke"}),
    "a web page in a 200": Shape(
        "reply", "Open WebUI", 200, "<!doctype html><html><head><title>Open WebUI</title></head></html>", HTML
    ),
    "an empty 200": Shape("reply", "an empty reply", 200, ""),
    "null in a 200": Shape("reply", "malformed reply", 200, "null"),
    "a list in a 200": Shape("reply", "malformed reply", 200, "[]"),
    "an empty object in a 200": Shape("reply", "malformed reply", 200, "{}"),
    "a number in a 200": Shape("reply", "5", 200, "5"),
    "cut off": Shape("reply", "cut off", 200, '{"id": "1", "choices": [{'),
    "no choices": Shape("reply", "malformed reply", 200, {"choices": [], "output": None, "content": None}),
    "null choices": Shape(
        "reply", "malformed reply", 200, {"choices": None, "output": [None], "content": None, "usage": None}
    ),
    "odd choices": Shape("reply", "malformed reply", 200, {"choices": ["1"], "output": "1", "content": 1}),
    "deep": Shape("reply", "cut off or not JSON", 200, "[" * 100_000 + "]" * 100_000),
    "OpenRouter, an error in a choice": Shape(
        "reply",
        "upstream broke",
        200,
        {
            "choices": [
                {
                    "finish_reason": "error",
                    "error": {"code": 502, "message": "upstream broke"},
                    "message": {"content": ""},
                }
            ],
            "error": {"message": "upstream broke"},
        },
    ),
    "a stream": Shape("reply", "data:", 200, 'data: {"choices": [{"delta": {"content": "1"}}]}\n\ndata: [DONE]\n\n'),
    "not what it is encoded as": Shape("reply", "malformed reply", 200, b"xx", {"content-encoding": "gzip"}),
    "bytes": Shape("reply", "", 200, bytes(range(128, 256))),
    "a header without end": Shape("reply", "malformed reply", 200, {}, {"x-header": "y" * 10_000}),
}


def chat(content: Any = "1", **choice: Any) -> Any:
    return {"choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"} | choice]}


def completion(text: Any = "1", **choice: Any) -> Any:
    return {"choices": [{"text": text, "finish_reason": "stop"} | choice]}


def response(content: Any = ({"type": "output_text", "text": "1"},), **members: Any) -> Any:
    items = list(content) if isinstance(content, tuple) else content
    return {"status": "completed", "output": [{"type": "message", "content": items}]} | members


def message(content: Any = ({"type": "text", "text": '{"label": "1"}'},), **members: Any) -> Any:
    blocks = list(content) if isinstance(content, tuple) else content
    return {"content": blocks, "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 1}} | members


JSON = '{"label": "1"}'


def everywhere(**members: Any) -> dict[str, Any]:
    """The shortest answers of all interfaces with other members beside them."""
    return {
        "chat": chat() | members,
        "completions": completion() | members,
        "responses": response(**members),
        "messages": message(**members),
    }


# Answers with oddities, and what is recorded: a label, or a status.
WITH_ANSWER: dict[str, tuple[str, dict[str, Any]]] = {
    "nothing but the answer": ("1", everywhere()),
    "usage null": ("1", everywhere(usage=None)),
    "usage a text": ("1", everywhere(usage="many")),
    "usage of texts": ("1", everywhere(usage={"prompt_tokens": "5", "completion_tokens": None, "input_tokens": "x"})),
    "usage below 0": ("1", everywhere(usage={"prompt_tokens": -5, "completion_tokens": 1e300, "input_tokens": -1})),
    "details null": (
        "1",
        everywhere(
            usage={
                "prompt_tokens": 5,
                "completion_tokens": 1,
                "input_tokens": 5,
                "output_tokens": 1,
                "prompt_tokens_details": None,
                "input_tokens_details": [],
                "completion_tokens_details": 5,
            }
        ),
    ),
    "model null": ("1", everywhere(model=None)),
    "model an object": ("1", everywhere(model={"name": ["m"]})),
    "error null": ("1", everywhere(error=None)),
    "error empty": ("1", everywhere(error="")),
    "unknown members": ("1", everywhere(x={"y": [None]}, warnings=["w"], service_tier=None, system_fingerprint=3)),
    "identifiers that are numbers": ("1", everywhere(id=5, created="now", object=None)),
    "several choices": (
        "1",
        {
            "chat": {"choices": chat()["choices"] * 2},
            "completions": {"choices": completion()["choices"] * 2},
            "responses": response(),
            "messages": message(),
        },
    ),
    "log-probabilities null": (
        "1",
        everywhere() | {"chat": chat(logprobs=None), "completions": completion(logprobs=None)},
    ),
    "log-probabilities of nulls": (
        "1",
        everywhere()
        | {
            "chat": chat(logprobs={"content": [None]}),
            "completions": completion(logprobs={"tokens": None, "top_logprobs": [None]}),
        },
    ),
    "log-probabilities beyond floats": (
        "1",
        everywhere()
        | {
            "chat": chat(
                logprobs={
                    "content": [
                        {"token": "1", "logprob": -(10**400), "top_logprobs": [{"token": "1", "logprob": 10**400}]}
                    ]
                }
            )
        },
    ),
    "an end without a reason": (
        "1",
        everywhere(stop_reason=None)
        | {"chat": chat(finish_reason=None), "completions": completion(finish_reason=None)},
    ),
    "an end that is an object": (
        "1",
        everywhere()
        | {
            "chat": chat(finish_reason={"type": "stop"}),
            "completions": completion(finish_reason={"type": "stop", "matched": 5}),
        },
    ),
    "parts": (
        "1",
        {
            "chat": chat([{"type": "text", "text": "1"}, {"type": "text", "text": ""}]),
            "completions": completion(),
            "responses": response(({"type": "output_text", "text": ""}, {"type": "output_text", "text": "1"}, None)),
            "messages": message(({"type": "text", "text": JSON[:5]}, {"type": "text", "text": JSON[5:]})),
        },
    ),
    "parts without a type, and texts": (
        "1",
        {
            "chat": chat([{"text": "1"}, ""]),
            "completions": completion(),
            "responses": response("1"),
            "messages": message(JSON),
        },
    ),
    "thinking parts": (
        "1",
        {
            "chat": chat(
                [{"type": "thinking", "thinking": [{"type": "text", "text": "0"}]}, {"type": "text", "text": "1"}]
            ),
            "completions": completion("<think>0</think>1"),
            "responses": response(
                output=[{"type": "reasoning", "summary": [], "content": None}, *response()["output"]]
            ),
            "messages": message(
                (
                    {"type": "thinking", "thinking": "0", "signature": ""},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "text", "text": JSON},
                )
            ),
        },
    ),
    "reasoning parts with a text": (
        "1",
        {
            "chat": chat([{"type": "reasoning", "text": "0"}, {"type": "text", "text": "1"}]),
            "completions": completion(),
            "responses": response(({"type": "reasoning_text", "text": "0"}, {"type": "output_text", "text": "1"})),
            "messages": message(({"type": "reasoning", "text": "0"}, {"type": "text", "text": JSON})),
        },
    ),
    "parts of another type": (
        "reply",
        {
            "chat": chat([{"type": "image_url", "image_url": {}}]),
            "completions": completion(5),
            "responses": response(({"type": "output_audio", "data": "x"},)),
            "messages": message(({"type": "image", "source": {}},)),
        },
    ),
    "a content that is a number": (
        "reply",
        {
            "chat": chat(1),
            "completions": completion(1),
            "responses": response(1),
            "messages": message(1, stop_reason=None),
        },
    ),
    "a lone surrogate": (
        "unparseable",
        {
            "chat": chat("1 \ud83d"),
            "completions": completion("1 \ud83d"),
            "responses": response(({"type": "output_text", "text": "1 \ud83d"},)),
            "messages": message(({"type": "text", "text": "1 \ud83d"},)),
        },
    ),
    "NUL and escapes": (
        "unparseable",
        {
            "chat": chat("\0\x1b[2J1"),
            "completions": completion("\0\x1b[2J1"),
            "responses": response(({"type": "output_text", "text": "\0\x1b[2J1"},)),
            "messages": message(({"type": "text", "text": "\0\x1b[2J1"},)),
        },
    ),
    "an empty text": (
        "unparseable",
        {"chat": chat(""), "completions": completion(""), "responses": response(()), "messages": message(())},
    ),
    "no message but an end": (
        "truncated",
        {
            "chat": {"choices": [{"finish_reason": "length", "index": 0}]},
            "completions": {"choices": [{"finish_reason": "length"}]},
            "responses": {"status": "incomplete", "incomplete_details": None, "output": []},
            "messages": {"stop_reason": "max_tokens", "content": None},
        },
    ),
    "Gemini, filtered": (
        "refused",
        {
            "chat": {
                "choices": [{"finish_reason": "content_filter: PROHIBITED_CONTENT", "message": {"role": "assistant"}}]
            },
            "completions": completion(None, finish_reason="content_filter"),
            "responses": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
            "messages": message((), stop_reason="refusal"),
        },
    ),
    "Gemini and Zhipu, filtered": (
        "refused",
        {
            "chat": chat(None, finish_reason="SAFETY"),
            "completions": completion("", finish_reason="sensitive"),
            "responses": {"status": "incomplete", "incomplete_details": {"reason": "content_filter"}, "output": []},
            "messages": message((), stop_reason="refusal"),
        },
    ),
    "DeepSeek and Zhipu, stopped": (
        "reply",
        {
            "chat": chat("", finish_reason="insufficient_system_resource"),
            "completions": completion("", finish_reason="network_error"),
            "responses": response((), status="cancelled"),
            "messages": {"type": "message"},
        },
    ),
    "SGLang, aborted": (
        "reply",
        {
            "chat": chat("", finish_reason="abort"),
            "completions": completion("", finish_reason="abort"),
            "responses": response((), status="cancelled"),
            "messages": {"type": "message"},
        },
    ),
    "failed": (
        "reply",
        {
            "chat": chat("", finish_reason="error"),
            "completions": completion("", finish_reason="error"),
            "responses": {"status": "failed", "error": {"code": "server_error", "message": "it failed"}, "output": []},
            "messages": {"type": "error", "error": {"type": "api_error", "message": "it failed"}},
        },
    ),
    "refusal null": ("1", everywhere() | {"chat": chat(message={"content": "1", "refusal": None, "tool_calls": None})}),
    "a refusal": (
        "refused",
        {
            "chat": chat(message={"content": None, "refusal": "No."}),
            "completions": completion("", finish_reason="content_filter"),
            "responses": response(({"type": "refusal", "refusal": "No."},)),
            "messages": message((), stop_reason="refusal"),
        },
    ),
    "a mark before it": ("1", {api: "\ufeff" + json.dumps(answer) for api, answer in everywhere().items()}),
    "blanks around it": ("1", {api: f"\n\n  {json.dumps(answer)}\n" for api, answer in everywhere().items()}),
}
