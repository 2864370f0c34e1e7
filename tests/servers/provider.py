"""A local server that speaks the protocols of OpenAI and Anthropic, faults included, and remembers what it was sent.

It answers as a model would that sees the label 1 with a probability that depends on the prompt alone, so that what a
client makes of its replies can be checked.
"""

import asyncio
import hashlib
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Raw:
    """A reply as it is sent."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


# Told a request's body and how often the same was sent before; names a fault, or "" for an answer, or is the reply.
Fault = Callable[[dict[str, Any], int], str | Raw]


def probability(prompt: str) -> float:
    """P(label 1) of the pretended model: a function of the prompt alone, never near one half."""
    share = int(hashlib.sha256(prompt.encode()).hexdigest()[:8], 16) / 0xFFFFFFFF
    return 0.6 + 0.39 * (2 * share - 1) if share > 0.5 else 0.4 - 0.39 * (1 - 2 * share)


def prompt_of(body: dict[str, Any]) -> str:
    """All text of a request, as the pretended model reads it."""
    if "prompt" in body:
        return str(body["prompt"])
    messages = body.get("messages", body.get("input"))
    system = [{"role": "system", "content": body["system"]}] if "system" in body else []
    return "\n".join(_text(message["content"]) for message in [*system, *messages])


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(block["text"] for block in content)


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


@dataclass
class Batch:
    requests: dict[str, dict[str, Any]]
    path: str
    looks: int = 0
    metadata: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)


@dataclass
class Provider:
    """Runs in a thread of its own. `looks` is how often a batch is looked at until it has ended; `lost` names the
    share of a batch's questions that fail (every so-manyth, 0 for none). The next `unheard` submissions of batches are
    taken, but their answers lost; `damage` changes the lines of a batch's results; `ends` is what becomes of
    batches at OpenAI; `lists` whether batches are listed, and `gone` whether all were removed.
    """

    fault: Fault = lambda body, before: ""
    latency: float = 0.0
    looks: int = 2
    lost: int = 0
    unheard: int = 0
    damage: Callable[[list[str]], list[str]] = lambda lines: lines
    ends: str = "completed"
    lists: bool = True
    gone: bool = False
    received: list[Received] = field(default_factory=list)
    refused: int = 0
    batches: dict[str, Batch] = field(default_factory=dict)
    port: int = 0

    def __post_init__(self) -> None:
        self._sent: Counter[str] = Counter()
        self._files: dict[str, bytes] = {}
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to listen, at the same address as before."""
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    def die(self) -> None:
        """Stop listening, and break every connection."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()

    def prompts(self) -> Counter[str]:
        """How often each prompt was sent."""
        return Counter(prompt_of(received.body) for received in self.received if _is_question(received.path))

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**28)
        for path in ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages"):
            app.router.add_post(path, self._question)
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{id}/content", self._content)
        app.router.add_post("/v1/batches", self._begin_batch)
        app.router.add_get("/v1/batches", self._list_batches)
        app.router.add_get("/v1/batches/{id}", self._look_at_batch)
        app.router.add_post("/v1/messages/batches", self._begin_messages)
        app.router.add_get("/v1/messages/batches", self._list_messages)
        app.router.add_get("/v1/messages/batches/{id}", self._look_at_messages)
        app.router.add_get("/v1/messages/batches/{id}/results", self._results)
        self._runner = web.AppRunner(app, shutdown_timeout=0.05, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _question(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.received.append(Received(request.path, dict(request.headers), body))
        key = json.dumps(body, sort_keys=True)
        fault = self.fault(body, self._sent[key])
        self._sent[key] += 1
        if self.latency:
            await asyncio.sleep(self.latency)
        if isinstance(fault, Raw):
            self.refused += fault.status == 400
            headers = {"content-type": "application/json"} | fault.headers
            return web.Response(status=fault.status, body=fault.body, headers=headers)
        if fault:
            response = await _faulty(fault, request, body)
            if response is not None:
                self.refused += response.status == 400
                return response
        return web.json_response(answer(request.path, body, fault))

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        name = f"file-{len(self._files)}"
        self._files[name] = form["file"].file.read()  # type: ignore[union-attr]
        data = {"id": name, "object": "file", "bytes": 1, "created_at": 1, "filename": "f", "purpose": "batch"}
        return web.json_response(data | {"status": "processed"})

    async def _content(self, request: web.Request) -> web.Response:
        return web.Response(body=self._files[request.match_info["id"]])

    async def _begin_batch(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.received.append(Received(request.path, dict(request.headers), asked))
        lines = [json.loads(line) for line in self._files[asked["input_file_id"]].splitlines()]
        assert all(line["url"] == asked["endpoint"] and line["method"] == "POST" for line in lines)
        name = f"batch_{len(self.batches)}"
        requests = {line["custom_id"]: line["body"] for line in lines}
        self.batches[name] = Batch(requests, asked["endpoint"], metadata=asked.get("metadata") or {})
        return self._taken(request, self._batch(name))

    def _taken(self, request: web.Request, batch: dict[str, Any]) -> web.Response:
        if self.unheard:
            self.unheard -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(batch)

    async def _list_batches(self, request: web.Request) -> web.Response:
        return self._listed(request, self._batch)

    async def _list_messages(self, request: web.Request) -> web.Response:
        return self._listed(request, self._messages)

    def _listed(self, request: web.Request, batch: Callable[[str], dict[str, Any]]) -> web.Response:
        """One batch a page, the latest first: whoever looks for one has to turn pages."""
        if not self.lists:
            return _error(404, "Not Found", "not_found")
        names = list(self.batches)[::-1]
        after = request.query.get("after") or request.query.get("after_id")
        names = names[names.index(after) + 1 :] if after else names
        more = {"first_id": names[0], "last_id": names[0]} if names else {"first_id": None, "last_id": None}
        data = [batch(name) for name in names[:1]]
        return web.json_response({"object": "list", "data": data, "has_more": len(names) > 1} | more)

    async def _look_at_batch(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if self.gone:
            return _error(404, f"No batch found with id '{name}'.", "not_found")
        self.batches[name].looks += 1
        return web.json_response(self._batch(name))

    def _batch(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        ended = batch.looks >= self.looks
        if ended:
            good, bad = [], []
            for i, (key, body) in enumerate(reversed(batch.requests.items())):  # the order is not kept
                if self.lost and i % self.lost == 0:
                    bad.append({"custom_id": key, "response": {"status_code": 500, "body": {}}, "error": None})
                else:
                    reply = {"status_code": 200, "body": answer(batch.path, body)}
                    good.append({"custom_id": key, "response": reply, "error": None})
            for kind, lines in (("good", good), ("bad", bad)):
                written = self.damage(list(map(json.dumps, lines))) if lines else []
                self._files[f"{name}-{kind}"] = "\n".join(written).encode(errors="surrogateescape")
        counts = {"total": len(batch.requests), "completed": len(batch.requests) if ended else 0, "failed": 0}
        return {
            "id": name, "object": "batch", "endpoint": batch.path, "input_file_id": "file-0",
            "created_at": int(batch.created), "metadata": batch.metadata or None,
            "completion_window": "24h", "status": self.ends if ended else "in_progress", "request_counts": counts,
            "output_file_id": f"{name}-good" if ended else None,
            "error_file_id": f"{name}-bad" if ended and self.lost else None,
        }  # fmt: skip

    async def _begin_messages(self, request: web.Request) -> web.Response:
        asked = await request.json()
        self.received.append(Received(request.path, dict(request.headers), asked))
        name = f"msgbatch_{len(self.batches)}"
        requests = {entry["custom_id"]: entry["params"] for entry in asked["requests"]}
        assert all(len(key) <= 64 for key in requests)
        self.batches[name] = Batch(requests, "/v1/messages")
        return self._taken(request, self._messages(name))

    async def _look_at_messages(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if self.gone:
            return _error(404, f"No batch found with id '{name}'.", "not_found")
        self.batches[name].looks += 1
        return web.json_response(self._messages(name))

    def _messages(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        ended = batch.looks >= self.looks
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        counts["succeeded" if ended else "processing"] = len(batch.requests)
        day = datetime.fromtimestamp(batch.created, UTC).isoformat()
        return {
            "id": name, "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts, "created_at": day, "expires_at": day, "ended_at": day if ended else None,
            "results_url": f"{self.url}/v1/messages/batches/{name}/results" if ended else None,
        }  # fmt: skip

    async def _results(self, request: web.Request) -> web.Response:
        lines = []
        for i, (key, body) in enumerate(reversed(self.batches[request.match_info["id"]].requests.items())):
            if self.lost and i % self.lost == 0:
                result: dict[str, Any] = {"type": "expired"}
            else:
                result = {"type": "succeeded", "message": answer("/v1/messages", body)}
            lines.append(json.dumps({"custom_id": key, "result": result}))
        body = "\n".join(self.damage(lines)).encode(errors="surrogateescape")
        return web.Response(body=body, content_type="application/x-jsonl")


def _is_question(path: str) -> bool:
    return path in ("/v1/chat/completions", "/v1/responses", "/v1/completions", "/v1/messages")


def answer(path: str, body: dict[str, Any], fault: str = "") -> dict[str, Any]:
    """What a provider sends for a request that it accepts; `fault` bends it."""
    prompt = prompt_of(body)
    one = probability(prompt)
    label = str(int(one > 0.5))
    if path == "/v1/messages":
        return _anthropic(body, prompt, label, fault)
    if path == "/v1/responses":
        return _response(prompt, label, fault)
    return (
        _completion(body, prompt, one, label) if path == "/v1/completions" else _chat(body, prompt, one, label, fault)
    )


def _usage(prompt: str) -> dict[str, Any]:
    return {"prompt_tokens": len(prompt), "completion_tokens": 2, "total_tokens": len(prompt) + 2,
            "prompt_tokens_details": {"cached_tokens": 7}}  # fmt: skip


def _chat(body: dict[str, Any], prompt: str, one: float, label: str, fault: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": label, "refusal": None}
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
    if body.get("logprobs"):
        tops = {label: max(one, 1 - one) * 0.9, str(1 - int(label)): min(one, 1 - one) * 0.9, "Label": 0.05}
        if fault == "no labels":
            tops, message["content"] = {"The": 0.5, "I": 0.2}, "The"
        listed = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in tops.items()]
        listed = listed[: body["top_logprobs"]]
        choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}], "refusal": None}
    if fault == "null":
        message["content"] = None
    if fault == "length":
        message["content"], choice["finish_reason"] = "Let", "length"
        choice["logprobs"] = None
    if fault == "refusal":
        message |= {"content": None, "refusal": "I cannot help with that."}
    reply = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": f"{body['model']}-2026-01-01",
             "choices": [choice], "usage": _usage(prompt)}  # fmt: skip
    if fault == "no choices":
        del reply["choices"]
    if fault == "empty choices":
        reply["choices"] = []
    return reply


def _response(prompt: str, label: str, fault: str) -> dict[str, Any]:
    content: dict[str, Any] = {"type": "output_text", "text": label, "annotations": []}
    if fault == "refusal":
        content = {"type": "refusal", "refusal": "I cannot help with that."}
    message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}
    output = [{"type": "reasoning", "id": "rs_1", "summary": []}, message]
    usage = {"input_tokens": len(prompt), "input_tokens_details": {"cached_tokens": 0}, "output_tokens": 50,
             "output_tokens_details": {"reasoning_tokens": 48}, "total_tokens": len(prompt) + 50}  # fmt: skip
    reply: dict[str, Any] = {"id": "resp_1", "object": "response", "status": "completed", "model": "m-2026",
                             "output": output, "usage": usage}  # fmt: skip
    if fault == "length":
        reply |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}, "output": output[:1]}
    return reply


def _completion(body: dict[str, Any], prompt: str, one: float, label: str) -> dict[str, Any]:
    """A text is one token a word, with the blank or line break before it."""
    tokens, offsets, tops = [], [], []
    text = prompt if body.get("echo") else ""
    start = 0
    for end in range(1, len(text) + 1):
        if end == len(text) or text[end] in " \n":
            tokens.append(text[start:end])
            offsets.append(start)
            chance = probability(text[:start])
            top = {" 1": math.log(0.9 * chance), " 0": math.log(0.9 * (1 - chance)), " x": math.log(0.05)}
            tops.append(top if start else None)
            start = end
    tokens.append(f" {label}")
    offsets.append(len(prompt))
    tops.append({" 1": math.log(0.9 * one), " 0": math.log(0.9 * (1 - one)), " x": math.log(0.05)})
    values = [None if top is None else top.get(token, -5.0) for token, top in zip(tokens, tops, strict=True)]
    logprobs = {"tokens": tokens, "text_offset": offsets, "top_logprobs": tops, "token_logprobs": values}
    choice = {"index": 0, "text": text + f" {label}", "finish_reason": "length",
              "logprobs": logprobs if body.get("logprobs") else None}  # fmt: skip
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"], "choices": [choice],
            "usage": _usage(prompt)}  # fmt: skip


def _anthropic(body: dict[str, Any], prompt: str, label: str, fault: str) -> dict[str, Any]:
    text = json.dumps({"label": label}) if "format" in body.get("output_config", {}) else label
    reason = {"length": "max_tokens", "refusal": "refusal", "too long": "model_context_window_exceeded"}.get(fault)
    usage = {"input_tokens": len(prompt), "output_tokens": 9, "cache_read_input_tokens": 5,
             "cache_creation_input_tokens": 3}  # fmt: skip
    content = [] if reason else [{"type": "text", "text": text}]
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content,
            "stop_reason": reason or "end_turn", "stop_sequence": None, "usage": usage}  # fmt: skip


async def _faulty(fault: str, request: web.Request, body: dict[str, Any]) -> web.StreamResponse | None:
    """A response that is none, or None where the fault is inside an answer."""
    kind, _, rest = fault.partition(" ")
    if kind == "429":
        headers = {"retry-after": rest} if rest else {}
        return _error(429, "Rate limit reached", "rate_limit_error", headers)
    if kind in ("500", "502", "503", "529"):
        return _error(int(kind), "overloaded" if kind == "529" else "server error", "server_error")
    if kind == "401":
        sent = request.headers.get("authorization", "") + request.headers.get("x-api-key", "")
        return _error(401, f"Incorrect API key provided: {sent}", "invalid_request_error")
    if kind == "404":
        return _error(404, f"The model {body['model']} does not exist", "invalid_request_error")
    if fault == "quota":
        return _error(429, "You exceeded your current quota", "insufficient_quota")
    if fault == "400 long":
        message = "This model's maximum context length is 10 tokens. Your messages resulted in 99 tokens."
        return _error(400, message, "invalid_request_error", code="context_length_exceeded")
    if kind == "400":
        return web.json_response(json.loads(rest), status=400)
    if kind == "refuses":
        if rest not in body:
            return None
        message = f"Unsupported parameter: '{rest}' is not supported with this model."
        return _error(400, message, "invalid_request_error", param=rest)
    if fault == "hang":
        await asyncio.sleep(30)
    if fault == "cut":
        response = web.StreamResponse(headers={"content-type": "application/json", "content-length": "1000"})
        await response.prepare(request)
        await response.write(b'{"id": "chatcmpl-1", "choi')
        assert request.transport is not None
        request.transport.abort()
        return response
    if fault == "garbage":
        return web.Response(text='{"id": "chatcmpl-1", "choices": [{', content_type="application/json")
    return None


def _error(
    status: int, message: str, kind: str, headers: dict[str, str] | None = None, code: str | None = None,
    param: str | None = None,
) -> web.Response:  # fmt: skip
    error = {"message": message, "type": kind, "code": code or kind, "param": param}
    return web.json_response({"type": "error", "error": error}, status=status, headers=headers)
