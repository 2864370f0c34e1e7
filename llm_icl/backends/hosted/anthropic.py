"""Anthropic's messages. Without log-probabilities: labels are sampled, and agreement over repeats is reported."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from typing import Any

from llm_icl.backends.base import ModelEntry, backends
from llm_icl.backends.exchange import GenerateRequest, Reply, Request
from llm_icl.backends.hosted.bounded import bounded_client, text_of
from llm_icl.backends.hosted.model import CLOCKS, BatchModel, BatchProgress, Collected, Failure, connecting, listing
from llm_icl.backends.hosted.reading import message_usage_of, model_of, read_message
from llm_icl.config.addresses import checked_url
from llm_icl.config.specs import only_known
from llm_icl.errors import RequestError
from llm_icl.prompting.rendering import Rendered

# Room for {"label": "…"} around the label.
_JSON_TOKENS = 30
THINKING = ("adaptive", "between_tools", "disabled")
_THOUGHT = 4000
# Seconds between looks at a batch that may be the one looked for.
_BETWEEN_LOOKS = 10.0
_EPHEMERAL = {"type": "ephemeral"}


@backends.register("anthropic")
class AnthropicModel(BatchModel):
    """Options: effort, thinking, constrained (labels by a JSON schema: true if the model supports one), timeout, key
    (the environment variable that holds it).
    """

    key_variable = "ANTHROPIC_API_KEY"
    usual_address = "https://api.anthropic.com"
    address_variable = "ANTHROPIC_BASE_URL"
    modes = ("generate",)
    shares_prefixes = True

    def __init__(self, entry: ModelEntry) -> None:
        super().__init__(entry)
        only_known("model", entry.name, self.options, ("effort", "thinking", "constrained", "timeout", "key"))
        if entry.base_url:
            checked_url(entry.base_url)
        self.accepts = entry.accepted(self.effort)
        constrained = self.options.get("constrained", "schema" in self.accepts)
        if not isinstance(constrained, bool):
            raise RequestError(f"model '{entry.name}': constrained must be true or false, not '{constrained}'")
        self.constrains = constrained
        self.thinking = str(self.options.get("thinking", entry.thinking))
        if self.thinking and self.thinking not in THINKING:
            raise RequestError(f"model '{entry.name}': thinking={self.thinking} is not one of {', '.join(THINKING)}")
        # Tokens reserved for reasoning before the answer.
        self.reasoning = entry.reasoning or (_THOUGHT if self.thinking == "adaptive" else 0)
        self.address = checked_url(entry.base_url or self.place(entry) or self.usual_address)
        self._client: Any = None

    def identity(self) -> dict[str, Any]:
        return {
            "backend": self.entry.backend,
            "identifier": self.entry.identifier,
            "base_url": self.address,
            "effort": self.effort,
            "thinking": self.thinking,
            "reasoning": self.reasoning,
            "constrained": self.constrains,
            "sends": sorted(name for name in self.accepts if name == "stop" or (name == "effort" and self.effort)),
        }

    def wire(self, rendered: Rendered) -> Any:
        return [{"role": message.role, "content": message.content} for message in rendered.messages()]

    async def open(self) -> None:
        import anthropic
        import httpx2

        self._response_type = httpx2.Response
        with connecting(self.entry):
            self._client = anthropic.AsyncAnthropic(
                api_key=self.secret(),
                base_url=self.address,
                timeout=self.timeout,
                max_retries=0,
                http_client=bounded_client(anthropic),
            )

    async def aclose(self) -> None:
        await self._client.close()

    def body(self, request: Request) -> dict[str, Any]:
        assert isinstance(request, GenerateRequest)
        messages = _with_cuts(request.prompt, request.cuts)
        body: dict[str, Any] = {
            "model": self.entry.identifier,
            "max_tokens": self.longest_reply(request),
            "messages": [message for message in messages if message["role"] != "system"],
        }
        system = [message["content"] for message in messages if message["role"] == "system"]
        if system:
            body["system"] = system[0]
        if self.thinking:
            body["thinking"] = {"type": self.thinking}
        output: dict[str, Any] = {}
        if self.effort and "effort" in self.accepts:
            output["effort"] = self.effort
        if request.constrained:
            label = {"type": "string", "enum": list(request.labels)}
            schema = {"type": "object", "properties": {"label": label}, "required": ["label"]}
            output["format"] = {"type": "json_schema", "schema": schema | {"additionalProperties": False}}
        elif "stop" in self.accepts:
            # The API rejects whitespace stop strings; replies are truncated at all stop strings locally.
            stops = [stop for stop in request.stop if stop.strip()]
            body |= {"stop_sequences": stops} if stops else {}
        return body | ({"output_config": output} if output else {})

    def longest_reply(self, request: Request) -> int:
        return request.max_tokens + (_JSON_TOKENS if request.constrained else 0) + self.reasoning

    async def send(self, body: dict[str, Any]) -> str:
        response = await self._client.post("/v1/messages", body=body, cast_to=self._response_type)
        return text_of(response)

    def read(self, request: Request, answer: Any) -> Reply:
        members = {"model": model_of(answer), "usage": message_usage_of(answer.get("usage")), **read_message(answer)}
        return Reply(**members, **({"constrained": True} if request.constrained else {}))

    async def submit(self, bodies: Mapping[str, dict[str, Any]], mark: str) -> str:
        requests = [{"custom_id": name, "params": body} for name, body in bodies.items()]
        return str((await self._client.messages.batches.create(requests=requests)).id)

    async def progress(self, batch: str) -> BatchProgress:
        state = await self._client.messages.batches.retrieve(batch)
        counts = state.request_counts
        done = counts.succeeded + counts.errored + counts.canceled + counts.expired
        return BatchProgress(state.processing_status == "ended", done, counts.succeeded)

    async def find(self, mark: str, keys: Collection[str], since: float, known: Collection[str]) -> str | None:
        """Batches carry no mark: a batch is known by its keys, which only its results show."""
        with listing():
            async for batch in self._client.messages.batches.list(limit=100):  # the latest first
                if batch.created_at.timestamp() < since - CLOCKS:
                    break
                counts = batch.request_counts
                count = counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
                if count == len(keys) and batch.id not in known and await self._has(batch.id, keys):
                    return str(batch.id)
        return None

    async def _has(self, batch: str, keys: Collection[str]) -> bool:
        """Whether a batch has these keys; waits until it has ended."""
        while not (await self.progress(batch)).ended:
            await asyncio.sleep(_BETWEEN_LOOKS)
        collected = await self.collect(batch)
        return not (collected.answers.keys() | collected.failures.keys()).isdisjoint(keys)

    async def collect(self, batch: str) -> Collected:
        response = await self._client.get(f"/v1/messages/batches/{batch}/results", cast_to=self._response_type)
        return Collected.read([response.content], _ending)


def _ending(entry: Any) -> dict[str, Any] | Failure:
    """The message in a line of a batch's results, or why there is none."""
    result = entry["result"]
    if result["type"] == "succeeded" and isinstance(result["message"], dict):
        return dict(result["message"])
    kind = str(result["type"])
    # Of the batch, or the words of an error; its status is not sent, and those of requests say of what kind they are.
    return Failure.of(result["error"], 400, kind) if result.get("error") else Failure("error", kind)


def _with_cuts(messages: Sequence[dict[str, str]], cuts: Sequence[int]) -> list[dict[str, Any]]:
    """The messages, split at the prefixes shared with the previous and the next prompt, both marked for caching: the
    provider reads the first prefix from its prompt cache and stores the second.
    """
    if not cuts:
        return [dict(message) for message in messages]
    divided: list[dict[str, Any]] = []
    start = 0
    for message in messages:
        end = start + len(message["content"])
        borders = [start, *(cut for cut in cuts if start < cut < end), end]
        blocks = []
        for a, b in pairwise(borders):
            block: dict[str, Any] = {"type": "text", "text": message["content"][a - start : b - start]}
            blocks.append(block | ({"cache_control": _EPHEMERAL} if b in cuts[-2:] else {}))
        divided.append({"role": message["role"], "content": blocks})
        start = end
    return divided
