"""OpenAI's three interfaces, and any server that speaks one of them (`--base-url`)."""

import asyncio
import io
import json
from collections.abc import Collection, Mapping
from typing import Any

from llm_icl.backends.base import ModelEntry, backends
from llm_icl.backends.exchange import EchoRequest, Reply, Request, TopRequest
from llm_icl.backends.hosted.bounded import bounded_client, text_of
from llm_icl.backends.hosted.faults import clean, reason_for
from llm_icl.backends.hosted.logprobs import NoLogprobsError, top_of_echo
from llm_icl.backends.hosted.model import (
    CLOCKS,
    BatchModel,
    BatchProgress,
    Collected,
    Failure,
    connecting,
    listing,
    positive,
)
from llm_icl.backends.hosted.reading import BadReplyError, model_of, read_choice, read_response, usage_of
from llm_icl.config.addresses import checked_url
from llm_icl.config.specs import only_known
from llm_icl.errors import RequestError
from llm_icl.prompting.rendering import Rendered

APIS = ("chat", "responses", "completions")
# The minimum limit of the Responses API.
_LEAST_OUTPUT = 16
_MOST_STOPS = 4
# Top logprobs requested: the maximum of each API.
_TOP = {"chat": 20, "completions": 5}
_PATHS = {"chat": "/chat/completions", "responses": "/responses", "completions": "/completions"}
# Finds out whether a server echoes the log-probabilities of a prompt.
_PROBE = "Input: 0 1\nLabel: 1\nInput: 1 1\nLabel:"
# The name of a batch's mark in its metadata.
_MARK = "llm-icl"
_PROBED = EchoRequest(prompt=_PROBE, ends=(_PROBE.index(" 1\nInput"), len(_PROBE)), gap=1, labels=("1", ""))


@backends.register("openai")
class OpenAIModel(BatchModel):
    """Options: api (chat, responses, completions), effort, temperature, top (number of top logprobs), timeout,
    key (the environment variable that holds it).
    """

    key_variable = "OPENAI_API_KEY"
    usual_address = "https://api.openai.com/v1"
    address_variable = "OPENAI_BASE_URL"

    def __init__(self, entry: ModelEntry) -> None:
        super().__init__(entry)
        only_known("model", entry.name, self.options, ("api", "effort", "temperature", "top", "timeout", "key"))
        if entry.base_url:
            checked_url(entry.base_url)
        self.accepts = entry.accepted(self.effort)
        self.api = str(self.options.get("api", "chat" if "logprobs" in self.accepts else "responses"))
        if self.api not in APIS:
            raise RequestError(f"model '{entry.name}': api={self.api} is not one of {', '.join(APIS)}")
        self.temperature = self.options.get("temperature")
        if self.temperature is not None:
            self.temperature = positive(entry, "temperature", self.temperature, minimum=0.0)
            if "temperature" not in self.accepts:
                raise RequestError(f"model '{entry.name}' does not support temperature{self._at_effort}")
        self.top = self.options.get("top", _TOP.get(self.api, 0))
        if not isinstance(self.top, int) or isinstance(self.top, bool) or not 0 <= self.top <= 20:
            raise RequestError(f"model '{entry.name}': top must be a whole number up to 20, not '{self.top}'")
        self.address = checked_url(entry.base_url or self.place(entry) or self.usual_address)
        scores = self.top and "logprobs" in self.accepts and self.api != "responses"
        self.modes = ("top", "generate") if scores else ("generate",)
        self._client: Any = None

    def identity(self) -> dict[str, Any]:
        return {
            "backend": self.entry.backend,
            "identifier": self.entry.identifier,
            "base_url": self.address,
            "api": self.api,
            "temperature": self.temperature,
            "effort": self.effort,
            "reasoning": self.entry.reasoning,
            "top": self.top,
            "sends": self._sends,
        }

    def wire(self, rendered: Rendered) -> Any:
        if self.api == "completions":
            return rendered.completion()
        return [{"role": message.role, "content": message.content} for message in rendered.messages()]

    def connect(self) -> None:
        """Detect whether a completions server echoes prompt logprobs: if so, one request gives a whole curve."""
        if self.api == "completions" and "top" in self.modes:
            if reason := asyncio.run(self._no_echo()):
                self.unavailable = {"echo": reason}
            else:
                self.modes = ("echo", "top", "generate")

    async def _no_echo(self) -> str:
        """Why the labels of a prompt cannot be read from its echo; empty if they can."""
        await self.open()
        probe = {"model": self.entry.identifier, "prompt": _PROBE, "max_tokens": 1, "logprobs": 1, "echo": True}
        try:
            async with asyncio.timeout(self.timeout):
                answer = json.loads(await self.send(probe))
            label, _ = top_of_echo(_PROBED, answer["choices"][0].get("logprobs"))
            return "" if label else "the server's echo has no log-probabilities of a label"
        except NoLogprobsError as reason:
            return str(reason)
        except Exception as problem:  # any failure: no echo; other errors appear with the first request
            said = reason_for(problem).words if hasattr(problem, "status_code") else ""
            return clean(f"the server does not echo prompts{f' ({said})' if said else ''}")
        finally:
            await self.aclose()

    async def open(self) -> None:
        import httpx2
        import openai

        self._response_type = httpx2.Response
        with connecting(self.entry):
            self._client = openai.AsyncOpenAI(
                api_key=self.secret(),
                base_url=self.address,
                timeout=self.timeout,
                max_retries=0,
                http_client=bounded_client(openai),
            )

    async def aclose(self) -> None:
        await self._client.close()

    def body(self, request: Request) -> dict[str, Any]:
        sampled = request.repeat is not None
        temperature = self.temperature if self.temperature is not None else (1.0 if sampled else 0.0)
        body: dict[str, Any] = {"model": self.entry.identifier}
        if "temperature" in self.accepts:
            body["temperature"] = temperature
        limit = request.max_tokens + self._reasoning
        if self.api == "responses":
            body |= {"input": request.prompt, "max_output_tokens": max(limit, _LEAST_OUTPUT), "store": False}
            return body | ({"reasoning": {"effort": self.effort}} if self._sends_effort else {})
        if request.stop and "stop" in self.accepts:
            body["stop"] = list(request.stop)[:_MOST_STOPS]  # replies are truncated at all stop strings locally
        if self.api == "completions":
            body |= {"prompt": request.prompt, "max_tokens": limit}
            if isinstance(request, EchoRequest):
                # After a blank that is a token of its own, the label is the second one.
                return {**body, "max_tokens": 2, "logprobs": self.top, "echo": True}
            return body | ({"logprobs": self.top} if isinstance(request, TopRequest) else {})
        # Other servers use the old name of the limit.
        name = "max_tokens" if self.entry.base_url else "max_completion_tokens"
        body |= {"messages": request.prompt, name: limit}
        if isinstance(request, TopRequest):
            body |= {"logprobs": True, "top_logprobs": self.top}
        return body | ({"reasoning_effort": self.effort} if self._sends_effort else {})

    @property
    def _sends(self) -> list[str]:
        """The parameters that the model accepts."""
        asked = {"temperature": True, "stop": self.api != "responses", "effort": self._sends_effort}
        return sorted(name for name in self.accepts if asked.get(name))

    @property
    def _sends_effort(self) -> bool:
        return bool(self.effort) and "effort" in self.accepts

    @property
    def _at_effort(self) -> str:
        return f" at effort {self.effort}" if self.effort else ""

    @property
    def _reasoning(self) -> int:
        """Tokens reserved for reasoning before the answer; 0 if the model is known not to reason."""
        accepts = self.entry.accepts
        does_not_think = self.effort == "none" and isinstance(accepts, Mapping) and "none" in accepts
        return 0 if does_not_think else self.entry.reasoning

    def longest_reply(self, request: Request) -> int:
        return max(request.max_tokens + self._reasoning, _LEAST_OUTPUT)

    async def send(self, body: dict[str, Any]) -> str:
        # The SDK's raw method: a third less CPU time than its typed methods.
        response = await self._client.post(_PATHS[self.api], body=body, cast_to=self._response_type)
        return text_of(response)

    def read(self, request: Request, answer: Any) -> Reply:
        members: dict[str, Any] = {"model": model_of(answer), "usage": usage_of(answer.get("usage"))}
        if self.api == "responses":
            return Reply(**members, **read_response(answer))
        choices = answer.get("choices")
        if not isinstance(choices, list) or not choices:
            raise BadReplyError("it has no choices")
        sent = "temperature" in self.accepts and "temperature" not in self.adaptations.dropped
        return Reply(**members, **read_choice(request, choices[0], greedy=sent and not self.temperature))

    async def submit(self, bodies: Mapping[str, dict[str, Any]], mark: str) -> str:
        lines = [
            json.dumps({"custom_id": name, "method": "POST", "url": f"/v1{_PATHS[self.api]}", "body": body})
            for name, body in bodies.items()
        ]
        file = io.BytesIO("\n".join(lines).encode())
        file.name = "batch.jsonl"
        uploaded = await self._client.files.create(file=file, purpose="batch")
        batch = await self._client.batches.create(
            input_file_id=uploaded.id,
            endpoint=f"/v1{_PATHS[self.api]}",
            completion_window="24h",
            metadata={_MARK: mark},
        )
        return str(batch.id)

    async def find(self, mark: str, keys: Collection[str], since: float, known: Collection[str]) -> str | None:
        with listing():
            async for batch in self._client.batches.list(limit=100):  # the latest first
                if (batch.metadata or {}).get(_MARK) == mark:
                    return str(batch.id)
                if batch.created_at < since - CLOCKS:
                    break
        return None

    async def progress(self, batch: str) -> BatchProgress:
        state = await self._client.batches.retrieve(batch)
        counts = state.request_counts
        done = counts.completed + counts.failed if counts else 0
        errors = "; ".join(str(error.message) for error in (state.errors.data or [] if state.errors else []))
        answered = counts.completed if counts else 0
        return BatchProgress(state.status in ("completed", "expired", "cancelled", "failed"), done, answered, errors)

    async def collect(self, batch: str) -> Collected:
        state = await self._client.batches.retrieve(batch)
        files = [await self._content(file) for file in (state.output_file_id, state.error_file_id) if file is not None]
        return Collected.read(files, _ending)

    async def _content(self, file: str) -> bytes:
        """The content of a file; empty if the provider has it no longer."""
        import openai

        try:
            return bytes((await self._client.files.content(file)).content)
        except openai.NotFoundError:
            return b""


def _ending(entry: Any) -> dict[str, Any] | Failure:
    """The reply's body in a line of a batch's files, or why there is none."""
    response, error = entry.get("response") or {}, entry.get("error") or {}
    if response.get("status_code") == 200 and isinstance(response["body"], dict):
        return dict(response["body"])
    if error:  # of the batch, such as one that has expired
        return Failure("error", str(error.get("message") or error["code"]))
    status = int(response["status_code"])
    return Failure.of(response.get("body"), status, f"HTTP {status}")
