"""A server that sends without end, or compresses what nobody can hold, costs bounded memory and stops a run with a
reason.
"""

import asyncio
import gzip
import json
import os
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest

from llm_icl.backends.hosted import bounded
from llm_icl.backends.hosted.bounded import ReplyTooLargeError, bounded_client
from llm_icl.backends.hosted.faults import UnusableError, fault_of

CHAT = {
    "id": "x", "object": "chat.completion", "created": 0, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "1"}}],
}  # fmt: skip
CLAUDE = {
    "id": "x", "type": "message", "role": "assistant", "model": "m", "content": [{"type": "text", "text": "1"}],
    "stop_reason": "end_turn", "stop_sequence": None, "usage": {"input_tokens": 1, "output_tokens": 1},
}  # fmt: skip


@contextmanager
def serving(answer):
    """`answer(handler)` writes the whole reply; how many bytes went out is in `sent`."""
    sent, asked = [], []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers["content-length"]))
            asked.append(dict(self.headers.items()))
            answer(self, sent)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent, asked
    finally:
        server.shutdown()


def whole(body, *headers):
    def answer(handler, _):
        handler.send_response(200)
        for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *headers):
            handler.send_header(name, value)
        handler.end_headers()
        with suppress(OSError):  # a reader that has enough
            handler.wfile.write(body)

    return answer


def endless(handler, sent):
    handler.send_response(200)
    handler.send_header("content-type", "application/json")
    handler.send_header("transfer-encoding", "chunked")
    handler.end_headers()
    piece = b" " * 2**16
    try:
        while sum(sent) < 2**26:
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            sent.append(len(piece))
    except OSError:
        handler.close_connection = True


def ask(sdk, address):
    async def one():
        if sdk is openai:
            client = openai.AsyncOpenAI(
                api_key="k", base_url=f"{address}/v1", max_retries=0, http_client=bounded_client(openai)
            )
            async with client:
                given = await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "q"}])
                return given.choices[0].message.content
        client = anthropic.AsyncAnthropic(
            api_key="k", base_url=address, max_retries=0, http_client=bounded_client(anthropic)
        )
        async with client:
            given = await client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "q"}])
            return given.content[0].text

    return asyncio.run(one())


@pytest.mark.parametrize(("sdk", "reply"), [(openai, CHAT), (anthropic, CLAUDE)])
@pytest.mark.parametrize("zipped", [False, True])
def test_answers_are_read_as_before_compressed_ones_too(sdk, reply, zipped):
    body = json.dumps(reply).encode()
    answer = whole(gzip.compress(body), ("content-encoding", "gzip")) if zipped else whole(body)
    with serving(answer) as (address, _, asked):
        assert ask(sdk, address) == "1"
    assert {name.lower(): value for name, value in asked[0].items()}["accept-encoding"] == "identity"


def fault(sdk, address):
    """What a run makes of the error that an SDK raises."""
    with pytest.raises((sdk.APIConnectionError, ReplyTooLargeError)) as raised:
        ask(sdk, address)
    return fault_of(raised.value, "m", 60.0)


@pytest.mark.parametrize("sdk", [openai, anthropic])
def test_a_reply_without_end_is_not_read_to_its_end(sdk, monkeypatch):
    monkeypatch.setattr(bounded, "LONGEST", 2**20)
    with serving(endless) as (address, sent, _):
        found = fault(sdk, address)
    assert isinstance(found, UnusableError)  # asking at once again would not help
    assert str(found) == "a reply of more than 1 MiB"
    assert sum(sent) < 2**25


def test_a_reply_that_is_compressed_twice_is_not_unpacked():
    body = gzip.compress(gzip.compress(bytes(2**20)))
    with serving(whole(body, ("content-encoding", "gzip, gzip"))) as (address, _, _):
        assert str(fault(openai, address)) == "a reply that is compressed several times"


@pytest.mark.parametrize("sdk", [openai, anthropic])
def test_a_long_compressed_reply_is_refused_before_it_is_unpacked(sdk):
    body = gzip.compress(os.urandom(2 * bounded.LONGEST_COMPRESSED), compresslevel=1)
    with serving(whole(body, ("content-encoding", "gzip"))) as (address, _, _):
        assert str(fault(sdk, address)) == "a reply of more than 1 MiB"
